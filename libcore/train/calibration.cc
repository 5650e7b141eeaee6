// SPDX-License-Identifier: MIT
#include "train/calibration.h"

#include <sched.h>

#include <algorithm>

#include "base/clock.h"
#include "base/workers.h"
#include "linalg/buffer.h"
#include "linalg/products.h"

namespace dl::train {

namespace {

constexpr std::uint32_t kRows = 32, kWidth = 128;
constexpr std::int64_t kLongNs = 1'000'000;
constexpr int kFewest = 3;

unsigned processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace

double multiply_adds_per_second(const linalg::Arithmetic& arithmetic, unsigned threads) {
  Workers one(1);
  linalg::Products products(arithmetic, one);
  linalg::Buffer x(linalg::panel_floats(kRows, kWidth)), y(x.size()), weights(kWidth * kWidth), bias(kWidth);
  std::fill_n(x.data(), x.size(), 0.5F);
  std::fill_n(weights.data(), weights.size(), 0.25F);
  linalg::ForwardArgs args;
  args.x = x.data();
  args.weights = weights.data();
  args.bias = bias.data();
  args.y = y.data();
  args.inputs = args.outputs = kWidth;
  args.rows = kRows;
  const std::int64_t begin = monotonic_ns();
  std::int64_t fastest = INT64_MAX, now = begin;
  for (int i = 0; i < kFewest || now - begin < kLongNs; ++i) {
    const std::int64_t from = now;
    products.forward(args);
    now = monotonic_ns();
    fastest = std::min(fastest, std::max<std::int64_t>(1, now - from));
  }
  const double multiply_adds = static_cast<double>(kRows) * kWidth * kWidth;
  return multiply_adds / (static_cast<double>(fastest) * 1e-9) * std::min(threads, processors());
}

}  // namespace dl::train
