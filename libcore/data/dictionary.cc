// SPDX-License-Identifier: MIT
#include "data/dictionary.h"

#include "data/record.h"

namespace dl::data {

namespace {

constexpr std::size_t kRecent = 64;  // the highest 6 bits of a hash

}  // namespace

Dictionary::Dictionary(const std::vector<std::string>& known) : texts_(known) {
  for (const std::string& text : known) {
    known_.emplace(text, static_cast<std::uint32_t>(known_.size()));
  }
  closed_ = true;
}

std::uint32_t Dictionary::number_of(std::string_view text) {
  if (text.size() > sizeof(std::uint64_t)) return find(text);
  std::uint64_t word = 0;
  for (const char byte : text) word = word << 8 | static_cast<unsigned char>(byte);
  if (recent_.empty()) recent_.resize(kRecent);
  Recent& seen = recent_[word * 0x9E3779B97F4A7C15U >> 58];
  if (seen.word != word || seen.size != text.size()) seen = {word, text.size(), find(text)};
  return seen.number;
}

std::uint32_t Dictionary::find(std::string_view text) {
  if (const auto at = known_.find(text); at != known_.end()) return at->second;
  if (closed_) return kRest;
  if (!is_utf8(std::string(text))) return kNoText;
  if (texts_.size() == kMost || bytes_ + text.size() > kMostBytes) {
    overflowed_ = true;
    return kRest;
  }
  const auto number = static_cast<std::uint32_t>(texts_.size());
  texts_.emplace_back(text);
  known_.emplace(text, number);
  bytes_ += text.size();
  return number;
}

}  // namespace dl::data
