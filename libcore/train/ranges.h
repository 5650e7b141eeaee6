// SPDX-License-Identifier: MIT
// Passes over long vectors whose elements do not meet, by all compute threads.
#pragma once

#include <atomic>
#include <span>

#include "base/workers.h"
#include "nn/model.h"
#include "optim/optimizer.h"

namespace dl::train {

// Calls work(begin, end) for ranges that together are `range`, side by side where that is worth it.
template <typename Work>
void for_ranges(Workers& workers, nn::ElementRange range, const Work& work) {
  constexpr std::uint64_t kWorthSplitting = 1 << 15;  // elements; below, waking a thread costs more
  const std::uint64_t members = workers.size();
  const std::uint64_t length = range.end - range.begin;
  if (members == 1 || length < kWorthSplitting) {
    work(range.begin, range.end);
    return;
  }
  workers.run([&](unsigned member) {
    work(range.begin + length * member / members, range.begin + length * (member + 1) / members);
  });
}

// optim::all_finite, by all compute threads.
inline bool all_finite(Workers& workers, std::span<const float> values) {
  std::atomic<bool> finite{true};
  for_ranges(workers, {0, values.size()}, [&](std::uint64_t begin, std::uint64_t end) {
    if (!optim::all_finite(values.subspan(begin, end - begin))) finite = false;
  });
  return finite;
}

}  // namespace dl::train
