// SPDX-License-Identifier: MIT
#include "optim/kernels.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "base/workers.h"

using namespace dl;
using namespace dl::optim;

namespace {

std::vector<const Kernels*> here() {
  std::vector<const Kernels*> all = {&baseline_kernels()};
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
    all.push_back(&avx2_kernels());
  }
  if (__builtin_cpu_supports("avx512f") != 0) all.push_back(&avx512_kernels());
  return all;
}

// Parameters, gradient and slots of ordinary sizes, with the odd values that training meets.
struct Vectors {
  std::vector<float> w, g, m, v;

  explicit Vectors(std::size_t size) : w(size), g(size), m(size), v(size) {
    Rng rng(5, Purpose::test);
    for (std::size_t i = 0; i < size; ++i) {
      const float scale = std::ldexp(1.0F, static_cast<int>(rng.below(60)) - 40);
      w[i] = rng.uniform(-1, 1);
      g[i] = rng.uniform(-scale, scale);
      m[i] = rng.uniform(-scale, scale);
      v[i] = rng.uniform(0, scale * scale);
    }
    const float odd[] = {0.0F, -0.0F, 1e-40F, -1e-45F, std::numeric_limits<float>::max(),
                         std::numeric_limits<float>::infinity()};
    for (std::size_t i = 0; i < std::size(odd) && i < size; ++i) g[i] = odd[i];
  }

  bool operator==(const Vectors& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (std::isnan(a[i]) && std::isnan(b[i])) continue;
        if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
      }
      return true;
    };
    return same(w, other.w) && same(m, other.m) && same(v, other.v);
  }
};

std::vector<OptimizerSpec> specs() {
  std::vector<OptimizerSpec> all;
  for (const Kind kind :
       {Kind::sgd, Kind::momentum, Kind::nesterov, Kind::adam, Kind::adamw}) {
    for (const float decay : {0.0F, 1e-2F}) all.push_back({.kind = kind, .weight_decay = decay});
  }
  return all;
}

void run(const Kernels& kernels, const UpdateConstants& k, Vectors& x, std::size_t begin,
         std::size_t end) {
  kernels.update(k, &x.w[begin], &x.g[begin], &x.m[begin], &x.v[begin], end - begin);
}

}  // namespace

TEST_CASE("kernels: every instruction set gives the same bits, for every optimizer") {
  flush_denormals();
  constexpr std::size_t kSize = 10007;
  for (const OptimizerSpec& spec : specs()) {
    Vectors wanted(kSize);
    for (std::uint64_t t = 1; t <= 5; ++t) {
      run(baseline_kernels(), constants_of(spec, {t, 0.01F, 0.125F}), wanted, 0, kSize);
    }
    for (const Kernels* kernels : here()) {
      CAPTURE(kernels->name);
      Vectors got(kSize);
      for (std::uint64_t t = 1; t <= 5; ++t) {
        run(*kernels, constants_of(spec, {t, 0.01F, 0.125F}), got, 0, kSize);
      }
      CHECK(got == wanted);
    }
  }
}

TEST_CASE("kernels: cutting the span into ranges changes no bit") {
  flush_denormals();
  constexpr std::size_t kSize = 2000;
  Rng rng(6, Purpose::test);
  for (const Kernels* kernels : here()) {
    for (const OptimizerSpec& spec : specs()) {
      const UpdateConstants k = constants_of(spec, {3, 0.01F, 0.5F});
      Vectors wanted(kSize);
      run(*kernels, k, wanted, 0, kSize);
      Vectors got(kSize);
      for (std::size_t at = 0; at < kSize;) {
        const std::size_t end = std::min(kSize, at + 1 + rng.below(97));
        run(*kernels, k, got, at, end);
        at = end;
      }
      CHECK(got == wanted);
    }
  }
}

TEST_CASE("kernels: one update is the header's formula, operation by operation") {
  const float w = 0.3F, g = 0.7F, m = 0.2F, v = 0.05F, d = 0.01F, lr = 0.1F;
  const float sg = 0.125F * g;
  const auto after = [&](Kind kind) {
    Vectors x(1);
    x.w[0] = w, x.g[0] = g, x.m[0] = m, x.v[0] = v;
    const OptimizerSpec spec{.kind = kind, .weight_decay = d};
    best_kernels().update(constants_of(spec, {7, lr, 0.125F}), x.w.data(), x.g.data(), x.m.data(),
                          x.v.data(), 1);
    return x.w[0];
  };
  const float dg = std::fma(d, w, sg);
  CHECK(after(Kind::sgd) == std::fma(-lr, dg, w));
  const float m1 = std::fma(0.9F, m, dg);
  CHECK(after(Kind::momentum) == std::fma(-lr, m1, w));
  CHECK(after(Kind::nesterov) == std::fma(-lr, std::fma(0.9F, m1, dg), w));
  double p1 = 1, p2 = 1;
  for (int t = 0; t < 7; ++t) p1 *= static_cast<double>(0.9F), p2 *= static_cast<double>(0.999F);
  const auto a = static_cast<float>(static_cast<double>(lr) / (1 - p1));
  const auto c = static_cast<float>(1 / std::sqrt(1 - p2));
  const auto adam = [&](float grad, float from) {
    const float m2 = std::fma(0.9F, m, (1 - 0.9F) * grad);
    const float v2 = std::fma(0.999F, v, ((1 - 0.999F) * grad) * grad);
    const float root = std::sqrt(v2) * c;
    return std::fma(-a, m2 / (root + 1e-8F), from);
  };
  CHECK(after(Kind::adam) == adam(dg, w));
  CHECK(after(Kind::adamw) == adam(sg, std::fma(-(lr * d), w, w)));
}

TEST_CASE("kernels: every instruction set gives the same sum of squares, for every length") {
  flush_denormals();
  const Vectors x(kSquaresBlock);
  std::vector<float> values = x.g;
  for (std::size_t i = 0; i < 6; ++i) values[i] = x.m[i];  // without infinity
  for (std::size_t size = 0; size <= kSquaresBlock; size += size < 70 ? 1 : 61) {
    const double wanted = baseline_kernels().squares(values.data(), size);
    for (const Kernels* kernels : here()) CHECK(kernels->squares(values.data(), size) == wanted);
  }
}

TEST_CASE("kernels: the lanes are added as the header says") {
  std::vector<float> values(50);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1F + 0.37F * static_cast<float>(i);
  double lanes[16] = {};
  for (std::size_t i = 0; i < values.size(); ++i) {
    lanes[i % 16] += static_cast<double>(values[i]) * values[i];
  }
  for (int half : {8, 4, 2, 1}) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  CHECK(best_kernels().squares(values.data(), values.size()) == lanes[0]);
}
