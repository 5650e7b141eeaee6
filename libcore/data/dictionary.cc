// SPDX-License-Identifier: MIT
#include "data/dictionary.h"

#include "data/record.h"

namespace dl::data {

Dictionary::Dictionary(const std::vector<std::string>& known) : texts_(known) {
  for (const std::string& text : known) {
    known_.emplace(text, static_cast<std::uint32_t>(known_.size()));
  }
  closed_ = true;
}

std::uint32_t Dictionary::number_of(std::string_view text) {
  return recent_.get(text, [this](std::string_view unseen) { return find(unseen); });
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
