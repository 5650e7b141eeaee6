// SPDX-License-Identifier: MIT
#include "data/distinct.h"

#include <algorithm>
#include <cmath>

namespace dl::data {

namespace {

// Digits of pi behind the point, made odd: numbers without a pattern.
constexpr std::uint64_t kPi[] = {0x243F6A8885A308D3, 0x13198A2E03707345, 0xA4093822299F31D1,
                                 0x082EFA98EC4E6C89};

// Both halves of the product: each bit of the result depends on all of x.
std::uint64_t mix(std::uint64_t x) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{x} * kPi[0];
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

void DistinctSample::keep(std::uint64_t hash) {
  ++counts_[hash];
  while (counts_.size() > most_) {
    ++level_;
    std::erase_if(counts_, [this](const auto& kept) {
      return static_cast<unsigned>(std::countl_zero(kept.first)) < level_;
    });
  }
}

double DistinctSample::distinct() const {
  return std::ldexp(static_cast<double>(counts_.size()), static_cast<int>(level_));
}

double DistinctSample::repeats() const {
  if (total_ == 0) return 0;
  const auto total = static_cast<double>(total_);
  if (level_ == 0) return 1 - distinct() / total;
  const auto kept = static_cast<double>(counts_.size());
  const auto again = static_cast<double>(std::count_if(
      counts_.begin(), counts_.end(), [](const auto& value) { return value.second > 1; }));
  const double by_values = again / kept * distinct() / total;
  const double by_number = 1 - distinct() * (1 + 4 / std::sqrt(kept)) / total;
  return std::clamp(std::max(by_values, by_number), 0.0, 1.0);
}

std::uint64_t hash_of(std::span<const double> numbers) {
  constexpr std::uint64_t kNan = 0x7FF8000000000000;
  std::uint64_t hash = kPi[1];
  for (const double number : numbers) {
    hash = mix(hash ^ (std::isnan(number) ? kNan : std::bit_cast<std::uint64_t>(number + 0.0)));
    hash = std::rotl(hash, 23) + kPi[2];
  }
  return mix(mix(hash) ^ kPi[3]);
}

}  // namespace dl::data
