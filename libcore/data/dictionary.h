// SPDX-License-Identifier: MIT
// The texts of a category column as numbers, in order of appearance.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  // Texts of at most 8 bytes that were seen lately, by their bytes: most are few and short.
  struct Recent {
    std::uint64_t word = 0;
    std::size_t size = SIZE_MAX;
    std::uint32_t number = 0;
  };
  std::uint32_t find(std::string_view text);

  bool closed_ = false, overflowed_ = false;
  std::size_t bytes_ = 0;
  std::vector<Recent> recent_;  // made when first used: most columns of a wide table are numbers
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> known_;
  std::vector<std::string> texts_;  // by number
};

}  // namespace dl::data
