// SPDX-License-Identifier: MIT
#include "base/rng.h"

#include <cmath>
#include <numeric>
#include <utility>

namespace dl {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

Rng::Rng(std::uint64_t seed, Purpose purpose, std::uint32_t a, std::uint32_t b)
    : counter_{0, 0, a, b},
      key_{static_cast<std::uint32_t>(seed),
           static_cast<std::uint32_t>(seed >> 32) ^
               (static_cast<std::uint32_t>(purpose) * 0x9E3779B9U)} {}

std::uint32_t Rng::next() {
  if (used_ == 4) {
    block_ = philox(counter_, key_);
    if (++counter_[0] == 0) ++counter_[1];
    used_ = 0;
  }
  return block_[used_++];
}

std::uint64_t Rng::next64() {
  const std::uint64_t low = next();
  return (std::uint64_t{next()} << 32) | low;
}

std::uint64_t Rng::below(std::uint64_t n) {
  const std::uint64_t tail = (~std::uint64_t{0} - n + 1) % n;  // 2^64 mod n
  for (;;) {
    const std::uint64_t x = next64();
    if (x >= tail) return x % n;
  }
}

float Rng::uniform() { return static_cast<float>(next() >> 8) * 0x1p-24F; }

float Rng::uniform(float low, float high) { return std::fma(high - low, uniform(), low); }

double Rng::uniform_double() { return static_cast<double>(next64() >> 11) * 0x1p-53; }

std::vector<std::uint32_t> permutation(std::uint32_t n, Rng rng) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  for (std::uint32_t i = n; i > 1; --i) {
    std::swap(order[i - 1], order[static_cast<std::uint32_t>(rng.below(i))]);
  }
  return order;
}

}  // namespace dl
