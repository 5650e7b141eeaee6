// SPDX-License-Identifier: MIT
// The rows of one step that a node computes: all of its shards, one after the other.
#pragma once

#include <cstdint>
#include <vector>

namespace dl::nn {

struct Batch {
  std::uint32_t rows = 0;
  std::vector<float> features;         // rows x inputs, row-major, no padding
  std::vector<std::uint32_t> classes;  // rows; empty for squared error
  std::vector<float> numbers;          // rows x outputs; empty for cross-entropy
  std::vector<float> weights;          // rows, or empty: every weight is 1
  // Segment i (a shard, in ascending order) is rows [offsets[i], offsets[i+1]); may be empty.
  std::vector<std::uint32_t> offsets = {0};

  std::uint32_t segments() const { return static_cast<std::uint32_t>(offsets.size()) - 1; }
};

}  // namespace dl::nn
