// SPDX-License-Identifier: MIT
// Between Address and Asio's endpoints. For net's own sources.
#pragma once

#include "net/address.h"
#include "net/asio.h"

namespace dl::net {

inline Address address_of(const Tcp::endpoint& endpoint) {
  return {endpoint.address().to_string(), endpoint.port()};
}

// The endpoint of an address in digits; false where the host is a name (or empty).
inline bool endpoint_of(const Address& address, Tcp::endpoint& out) {
  error_code error;
  const auto ip = asio::ip::make_address(address.host, error);
  if (!error) out = Tcp::endpoint(ip, address.port);
  return !error;
}

}  // namespace dl::net
