// SPDX-License-Identifier: MIT
// A plain socket, for a peer that keeps to none of our rules. The caller closes it.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "net/address.h"

namespace dl::test {

// 0, or the errno of the attempt. The connection is closed again.
inline int attempt(const net::Address& to) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(to.port);
  const bool six = ::inet_pton(AF_INET6, to.host.c_str(), &v6.sin6_addr) == 1;
  if (!six) REQUIRE(::inet_pton(AF_INET, to.host.c_str(), &v4.sin_addr) == 1);
  const int fd = ::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return errno;
  const auto* const address = six ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  const int error = ::connect(fd, address, six ? sizeof v6 : sizeof v4) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

// Whether this machine has an IPv6 loopback.
inline bool has_ipv6() { return attempt({"::1", 1}) == ECONNREFUSED; }

inline int raw_socket(const net::Address& to) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(to.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

}  // namespace dl::test
