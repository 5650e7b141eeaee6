// SPDX-License-Identifier: MIT
#include "net/address.h"

#include <fmt/format.h>

#include <charconv>

#include "base/error.h"

namespace dl::net {

Address parse_address(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    fail(Exit::usage, "{} is not HOST:PORT: {}", shown(text), why);
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse("it has no port");
  std::string_view host = text.substr(0, colon);
  if (!host.empty() && host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') refuse("a bracket is not closed before the port");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    refuse("write an IPv6 address in brackets, [::1]:7000");
  }
  for (const char c : host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) refuse("the host has a blank in it");
  }
  const std::string_view digits = text.substr(colon + 1);
  Address out{std::string(host), 0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    refuse("the port is a number from 0 to 65535");
  }
  return out;
}

std::string to_string(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", address.host, address.port)
            : fmt::format("{}:{}", address.host, address.port);
}

bool is_loopback(const Address& address) {
  const std::string& host = address.host;
  const bool number = host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "::1" || (number && host.starts_with("127."));
}

}  // namespace dl::net
