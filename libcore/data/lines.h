// SPDX-License-Identifier: MIT
// Lines of a text, in a buffer that numbers can be scanned in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "data/byte_source.h"

namespace dl::data {

// Holds one buffer of at least 1 MiB, more where a single line is longer.
class Lines {
 public:
  explicit Lines(ByteSource source) : source_(std::move(source)) {}

  // The next line without its LF or CRLF, valid until the next call. A byte that belongs to no number
  // stands behind it, and kBehindNumbers bytes may be read from there on. false at the end of the
  // text; 65 where a line is longer than 256 MiB.
  bool next(std::string_view& line);
  std::uint64_t number() const { return number_; }  // of that line, from 1
  const ByteSource& source() const { return source_; }

 private:
  bool more();

  ByteSource source_;
  std::string buffer_;              // what is unread: [at_, end_)
  std::size_t at_ = 0, end_ = 0;
  bool last_ = false;               // the source has no more
  std::uint64_t number_ = 0;
};

}  // namespace dl::data
