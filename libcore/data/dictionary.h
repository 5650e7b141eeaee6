// SPDX-License-Identifier: MIT
// The texts of a category column as numbers, in order of appearance.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/recent_texts.h"

namespace dl::data {

// Learns the texts that it is asked for, as long as there is room; a closed one knows what it was given.
class Dictionary {
 public:
  static constexpr std::uint32_t kMost = 1U << 16;                 // texts
  static constexpr std::size_t kMostBytes = std::size_t{16} << 20;  // of all texts
  static constexpr std::uint32_t kRest = kMost;                    // the number of all other texts
  static constexpr std::uint32_t kNoText = kMost + 1;              // what is not UTF-8

  Dictionary() = default;
  explicit Dictionary(const std::vector<std::string>& known);  // closed

  std::uint32_t number_of(std::string_view text);
  const std::vector<std::string>& texts() const { return texts_; }
  bool overflowed() const { return overflowed_; }  // there were texts that had no room

 private:
  std::uint32_t find(std::string_view text);

  bool closed_ = false, overflowed_ = false;
  std::size_t bytes_ = 0;
  RecentTexts<std::uint32_t> recent_;
  TextMap<std::uint32_t> known_;
  std::vector<std::string> texts_;  // by number
};

}  // namespace dl::data
