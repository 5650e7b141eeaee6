// SPDX-License-Identifier: MIT
#include "comm/tree_sum.h"

#include <algorithm>

namespace dl::comm {

namespace {

constexpr std::size_t kBlock = 1024;  // floats; a few of them fit the first cache
constexpr std::uint32_t kOut = UINT32_MAX;

}  // namespace

void add_pair(const float* left, const float* right, float* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = left[i] + right[i];
}

TreeSum::TreeSum(std::uint32_t shards, std::span<const ShardRange> parts)
    : parts_(static_cast<std::uint32_t>(parts.size())) {
  std::vector<std::uint32_t> place(parts_);  // where the sum that began at a part lies now
  for (std::uint32_t i = 0; i < parts_; ++i) place[i] = i;
  std::vector<std::uint32_t> free;
  const auto in_scratch = [&](std::uint32_t operand) { return operand >= parts_; };
  for (const Addition& addition : tree_additions(shards, parts)) {
    std::uint32_t& left = place[addition.left];
    const std::uint32_t right = place[addition.right];
    std::uint32_t to = left;
    if (!in_scratch(left)) {
      if (in_scratch(right)) {
        to = right;
      } else if (!free.empty()) {
        to = free.back();
        free.pop_back();
      } else {
        to = parts_ + scratch_++;
      }
    } else if (in_scratch(right)) {
      free.push_back(right);
    }
    steps_.push_back({left, right, to});
    left = to;
  }
  if (!steps_.empty()) steps_.back().to = kOut;
}

void TreeSum::add(std::span<const float* const> parts, float* out, std::size_t count) const {
  if (parts_ == 0) {
    std::fill_n(out, count, 0.0F);
    return;
  }
  if (parts_ == 1) {
    if (parts[0] != out) std::copy_n(parts[0], count, out);
    return;
  }
  if (parts_ == 2) {
    add_pair(parts[0], parts[1], out, count);
    return;
  }
  std::vector<float> scratch(scratch_ * kBlock);
  for (std::size_t at = 0; at < count; at += kBlock) {
    const std::size_t size = std::min(kBlock, count - at);
    const auto from = [&](std::uint32_t operand) -> const float* {
      return operand < parts_ ? parts[operand] + at : &scratch[(operand - parts_) * kBlock];
    };
    for (const Step& step : steps_) {
      float* const to = step.to == kOut ? out + at : &scratch[(step.to - parts_) * kBlock];
      add_pair(from(step.left), from(step.right), to, size);
    }
  }
}

}  // namespace dl::comm
