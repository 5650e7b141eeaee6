// SPDX-License-Identifier: MIT
#include "base/bytes.h"

#include "base/error.h"

namespace dl {

void put_text(Bytes& out, std::string_view text) {
  const ByteView bytes = as_bytes_of(text);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

ByteView ByteReader::take(std::size_t count) {
  if (count > left()) {
    fail(Exit::data, "{}: cut short: {} bytes wanted at offset {}, {} left", what_, count, at_,
         left());
  }
  const ByteView taken = bytes_.subspan(at_, count);
  at_ += count;
  return taken;
}

std::string ByteReader::text(std::size_t count) {
  const ByteView taken = take(count);
  return {reinterpret_cast<const char*>(taken.data()), taken.size()};
}

}  // namespace dl
