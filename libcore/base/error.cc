// SPDX-License-Identifier: MIT
#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace dl {

void fail_errno(Exit code, int error_number, const std::string& what) {
  const bool disk = error_number == ENOSPC || error_number == EDQUOT || error_number == EIO;
  throw Error(disk ? Exit::io : code,
              fmt::format("{}: {}", what, std::generic_category().message(error_number)));
}

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  if (text.size() > kLongest) out += "...";
  return out + "'";
}

}  // namespace dl
