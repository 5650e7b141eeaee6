// SPDX-License-Identifier: MIT
// How many different values a stream has, and how many come again, in bounded memory.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>

namespace dl::data {

// Values whose hash begins with at least `level` zeros are kept, with how often they came; when there
// are too many of them, the level grows by one, which halves them. Since a value that is kept was kept
// from its first time on, its count is exact. Gibbons: "Distinct sampling for highly-accurate answers to
// distinct values queries and event reports", VLDB 2001, section 3.
class DistinctSample {
 public:
  explicit DistinctSample(std::size_t most = std::size_t{1} << 16) : most_(most) {}

  void add(std::uint64_t hash) {  // as if drawn at random
    ++total_;
    if (static_cast<unsigned>(std::countl_zero(hash)) >= level_) keep(hash);
  }
  std::uint64_t total() const { return total_; }
  // Exact while there are at most `most`, else with a relative deviation of about 1.4 / sqrt(most).
  double distinct() const;
  // The share of values that came before: 1 - distinct / total. Where there are too many to be exact,
  // a bound that it is hardly ever below: found by the values that came more than once, or by their
  // number less four deviations.
  double repeats() const;

 private:
  void keep(std::uint64_t hash);

  std::size_t most_;
  std::uint64_t total_ = 0;
  unsigned level_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> counts_;
};

// A hash for DistinctSample; equal numbers have equal ones (-0 is 0, and all NaN are one number).
std::uint64_t hash_of(std::span<const double> numbers);

}  // namespace dl::data
