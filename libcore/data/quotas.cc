// SPDX-License-Identifier: MIT
#include "data/quotas.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace dl::data {

std::vector<std::uint64_t> apportion(std::uint64_t total, std::span<const double> weights) {
  __extension__ using Wide = unsigned __int128;
  constexpr int kBits = 51;  // the sum over 2^12 shards stays below 2^63
  const int scale = kBits - 1 - std::ilogb(*std::max_element(weights.begin(), weights.end()));
  std::vector<std::uint64_t> whole;
  for (const double weight : weights) {
    whole.push_back(static_cast<std::uint64_t>(std::floor(std::scalbn(weight, scale))));
  }
  const std::uint64_t sum = std::accumulate(whole.begin(), whole.end(), std::uint64_t{0});
  std::vector<std::uint64_t> quotas;
  std::vector<std::uint64_t> remainders;
  std::uint64_t left = total;
  for (const std::uint64_t weight : whole) {
    const Wide product = Wide{total} * weight;
    quotas.push_back(static_cast<std::uint64_t>(product / sum));
    remainders.push_back(static_cast<std::uint64_t>(product % sum));
    left -= quotas.back();
  }
  std::vector<std::uint32_t> order(weights.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return remainders[a] > remainders[b];
  });
  for (std::uint64_t i = 0; i < left; ++i) ++quotas[order[i]];  // fewer than there are shards
  return quotas;
}

Quotas::Quotas(std::uint32_t groups, std::uint32_t shards)
    : shards_(shards), left_(groups), sums_(std::size_t{groups} * shards) {}

void Quotas::set(std::uint32_t group, std::span<const std::uint64_t> quotas) {
  std::uint64_t* const sums = &sums_[std::size_t{group} * shards_];
  std::copy(quotas.begin(), quotas.end(), sums);
  for (std::uint32_t i = 1; i <= shards_; ++i) {
    const std::uint32_t above = i + (i & -i);
    if (above <= shards_) sums[above - 1] += sums[i - 1];
  }
  left_[group] = std::accumulate(quotas.begin(), quotas.end(), std::uint64_t{0});
}

std::uint32_t Quotas::draw(std::uint32_t group, Rng rng) {
  if (group >= left_.size() || left_[group] == 0) {
    fail(Exit::bug, "more samples of group {} than its quotas hold", group);
  }
  std::uint64_t* const sums = &sums_[std::size_t{group} * shards_];
  std::uint64_t at = rng.below(left_[group]--);
  std::uint32_t shard = 0;  // the last one whose quotas, and those before it, end at or before `at`
  for (std::uint32_t step = std::bit_floor(shards_); step > 0; step /= 2) {
    if (shard + step <= shards_ && sums[shard + step - 1] <= at) {
      shard += step;
      at -= sums[shard - 1];
    }
  }
  for (std::uint32_t i = shard + 1; i <= shards_; i += i & -i) --sums[i - 1];
  return shard;
}

}  // namespace dl::data
