// SPDX-License-Identifier: MIT
// Adds parts of a vector in the canonical tree (base/tree.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/tree.h"

namespace dl::comm {

// to[i] = left[i] + right[i]; `to` may be either of them.
void add_pair(const float* left, const float* right, float* to, std::size_t count);

// The additions of one plan, laid out so that a block of the vector runs through all of them while it
// is in the first cache. Immutable; any thread. Denormals are the calling thread's business.
class TreeSum {
 public:
  // `parts`: disjoint subtrees, ascending, together the whole tree over `shards` leaves. None at all
  // gives zeros.
  TreeSum(std::uint32_t shards, std::span<const ShardRange> parts);

  // out[i] = the sum over the parts' element i, for i below `count`. out may be one of the parts.
  void add(std::span<const float* const> parts, float* out, std::size_t count) const;

 private:
  // Operands below parts_ are parts, above them scratch blocks; kOut is the output.
  struct Step {
    std::uint32_t left, right, to;
  };
  std::uint32_t parts_;
  std::uint32_t scratch_ = 0;
  std::vector<Step> steps_;
};

}  // namespace dl::comm
