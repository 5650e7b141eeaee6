// SPDX-License-Identifier: MIT
#include "data/lines.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "data/number.h"

namespace dl::data {

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;
constexpr std::size_t kLongestLine = std::size_t{1} << 28;

}  // namespace

bool Lines::more() {
  if (last_) return false;
  std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
  end_ -= at_;
  at_ = 0;
  if (end_ > kLongestLine) {
    fail(Exit::data, "{}: row {} is longer than {} MiB", source_.name(), number_ + 1, kLongestLine >> 20);
  }
  const std::size_t wanted = std::max(kBuffer, 2 * end_);
  if (buffer_.size() < wanted + kBehindNumbers) buffer_.resize(wanted + kBehindNumbers);
  end_ += source_.read(buffer_.data() + end_, wanted - end_);
  last_ = end_ < wanted;
  buffer_[end_] = '\n';
  return true;
}

bool Lines::next(std::string_view& line) {
  std::size_t looked_at = 0;
  for (;;) {
    const char* const begin = buffer_.data() + at_;
    const std::size_t have = end_ - at_;
    const void* const found = have > looked_at ? std::memchr(begin + looked_at, '\n', have - looked_at) : nullptr;
    if (found == nullptr) {
      looked_at = have;
      if (more()) continue;
      if (have == 0) return false;
    }
    std::size_t length = found ? static_cast<std::size_t>(static_cast<const char*>(found) - begin) : have;
    at_ += std::min(length + 1, have);
    ++number_;
    if (length > 0 && begin[length - 1] == '\r') --length;
    line = {begin, length};
    return true;
  }
}

}  // namespace dl::data
