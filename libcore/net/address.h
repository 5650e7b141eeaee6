// SPDX-License-Identifier: MIT
// HOST:PORT as people write it: "node3:7000", "127.0.0.1:0", "[::1]:7000".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dl::net {

struct Address {
  std::string host;  // without brackets
  std::uint16_t port = 0;
  bool operator==(const Address&) const = default;
};

// Fails with 64. An IPv6 address needs brackets; an empty host (":7000") is every address of this
// machine, IPv4 and IPv6.
Address parse_address(std::string_view text);
std::string to_string(const Address& address);

// Whether it is one of this host's own that no other host reaches: 127.0.0.0/8, ::1, localhost.
bool is_loopback(const Address& address);

}  // namespace dl::net
