// SPDX-License-Identifier: MIT
// Which training sample goes to which shard.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dl::data {

enum class By { random, round_robin, contiguous };

By by_of(const std::string& name);  // 64 where there is no such strategy
const char* name_of(By by);
const std::vector<std::string>& by_names();

// A pure function of the sample's number among the training samples (from 0), their total, the
// number of shards and the seed. Shard sizes differ by at most one, whatever the strategy:
//   random       each run of `shards` samples is dealt out in a random order of its own
//   round_robin  sample i goes to shard i mod shards
//   contiguous   shard s gets samples ceil(s * total / shards) up to ceil((s + 1) * total / shards)
// The object keeps the order of the run last asked for, so that asking in order is fast.
class Distribution {
 public:
  Distribution(By by, std::uint32_t shards, std::uint64_t total, std::uint64_t seed)
      : by_(by), shards_(shards), total_(total), seed_(seed) {}
  std::uint32_t shard_of(std::uint64_t sample);
  std::uint32_t shards() const { return shards_; }

 private:
  By by_;
  std::uint32_t shards_;
  std::uint64_t total_, seed_;
  std::uint64_t run_ = UINT64_MAX;
  std::vector<std::uint32_t> order_;
};

}  // namespace dl::data
