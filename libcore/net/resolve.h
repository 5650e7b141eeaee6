// SPDX-License-Identifier: MIT
// Between Address and Asio's endpoints. For net's own sources.
#pragma once

#include "net/address.h"
#include "net/asio.h"

namespace dl::net {

// An IPv4 peer of a socket that takes both is called by its IPv4 address: others may have no IPv6.
inline Address address_of(const Tcp::endpoint& endpoint) {
  const auto ip = endpoint.address();
  if (ip.is_v6() && ip.to_v6().is_v4_mapped()) {
    return {asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6()).to_string(), endpoint.port()};
  }
  return {ip.to_string(), endpoint.port()};
}

// The endpoint of an address in digits; false where the host is a name (or empty).
inline bool endpoint_of(const Address& address, Tcp::endpoint& out) {
  error_code error;
  const auto ip = asio::ip::make_address(address.host, error);
  if (!error) out = Tcp::endpoint(ip, address.port);
  return !error;
}

}  // namespace dl::net
