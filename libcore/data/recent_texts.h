// SPDX-License-Identifier: MIT
// What is known of the short texts that were seen lately: the cells of a column are mostly few and short,
// and their eight bytes are found faster than any map finds them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dl::data {

// Texts to what is known of them; looked up without a copy.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename Known>
using TextMap = std::unordered_map<std::string, Known, TextHash, std::equal_to<>>;

// Takes no memory until it is used: most columns of a wide table are numbers.
template <typename Known>
class RecentTexts {
 public:
  // What `find(text)` says, or said lately.
  template <typename Find>
  Known get(std::string_view text, Find&& find) {
    if (text.empty() || text.size() > sizeof(std::uint64_t)) return find(text);
    if (seen_.empty()) seen_.resize(kSeen);
    std::uint64_t word = 0;
    for (const char byte : text) word = word << 8 | static_cast<unsigned char>(byte);
    Seen& seen = seen_[word * 0x9E3779B97F4A7C15U >> 58];
    if (seen.word != word || seen.size != text.size()) seen = {word, text.size(), find(text)};
    return seen.known;
  }

 private:
  static constexpr std::size_t kSeen = 64;  // the highest 6 bits of a hash
  struct Seen {
    std::uint64_t word = 0;
    std::size_t size = 0;  // 0: nothing yet
    Known known{};
  };
  std::vector<Seen> seen_;
};

}  // namespace dl::data
