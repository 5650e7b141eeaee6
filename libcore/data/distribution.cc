// SPDX-License-Identifier: MIT
#include "data/distribution.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"

namespace dl::data {

const std::vector<std::string>& by_names() {
  static const std::vector<std::string> names = {"random", "round-robin", "contiguous"};
  return names;
}

By by_of(const std::string& name) {
  const auto& names = by_names();
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) fail(Exit::usage, "--by: {} is no strategy", shown(name));
  return static_cast<By>(at - names.begin());
}

const char* name_of(By by) { return by_names()[static_cast<std::size_t>(by)].c_str(); }

std::uint32_t Distribution::shard_of(std::uint64_t sample) {
  if (by_ == By::round_robin) return static_cast<std::uint32_t>(sample % shards_);
  if (by_ == By::contiguous) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint32_t>(Wide{sample} * shards_ / total_);
  }
  const std::uint64_t run = sample / shards_;
  if (run != run_) {
    run_ = run;
    order_ = permutation(shards_, Rng(seed_, Purpose::distribution, static_cast<std::uint32_t>(run),
                                      static_cast<std::uint32_t>(run >> 32)));
  }
  return order_[sample % shards_];
}

}  // namespace dl::data
