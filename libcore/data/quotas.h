// SPDX-License-Identifier: MIT
// How many samples of each group a shard gets, and who they are.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"

namespace dl::data {

// `total` in proportion to the weights (finite, at least 0, one above 0), in whole numbers that add up:
// each share is rounded down, and what is left goes to the largest remainders, of equal ones to the
// first. Exact: the weights are taken as whole multiples of the largest one's last bits (its 51st).
std::vector<std::uint64_t> apportion(std::uint64_t total, std::span<const double> weights);

// A table of quotas, one row for each group of samples, one column for each shard. Samples are given
// out one by one: each goes to a shard with probability proportional to what is left of its group's
// quotas. So all quotas are filled exactly, and every arrangement of a group's samples is as likely.
// Memory: 8 bytes for each entry, which kMostQuotas bounds.
class Quotas {
 public:
  Quotas() = default;
  Quotas(std::uint32_t groups, std::uint32_t shards);

  void set(std::uint32_t group, std::span<const std::uint64_t> quotas);  // one for each shard
  // A shard for the next sample of the group; 70 where the group's quotas are used up.
  std::uint32_t draw(std::uint32_t group, Rng rng);

 private:
  std::uint32_t shards_ = 0;
  std::vector<std::uint64_t> left_;   // of each group
  std::vector<std::uint64_t> sums_;   // a Fenwick tree for each group
};

inline constexpr std::uint64_t kMostQuotas = std::uint64_t{1} << 22;

}  // namespace dl::data
