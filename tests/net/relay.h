// SPDX-License-Identifier: MIT
// Stands between two peers as a wire that somebody has got hold of: it keeps what the one who dials
// says, and may spoil a byte of it.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/bytes.h"
#include "raw_socket.h"

namespace dl::test {

// One connection, on a thread of its own.
class Relay {
 public:
  static constexpr std::size_t kNever = SIZE_MAX;

  // `spoil`: which of the dialler's bytes arrives changed.
  explicit Relay(const net::Address& to, std::size_t spoil = kNever) : to_(to), spoil_(spoil) {
    listening_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(listening_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::listen(listening_, 1) == 0);
    REQUIRE(::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    address_ = {"127.0.0.1", ntohs(address.sin_port)};
    thread_ = std::thread([this] { pass_on(); });
  }
  ~Relay() {
    ::shutdown(listening_, SHUT_RDWR);
    join();
    ::close(listening_);
  }

  const net::Address& address() const { return address_; }
  // What the dialler said; the thread ends when either side has closed.
  const Bytes& said() {
    join();
    return said_;
  }

 private:
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  void pass_on() {
    const int near = ::accept(listening_, nullptr, nullptr);
    if (near < 0) return;
    const int far = raw_socket(to_);
    while (pump(near, far)) {
    }
    ::close(near);
    ::close(far);
  }

  bool pump(int near, int far) {
    std::array<pollfd, 2> ends = {pollfd{near, POLLIN, 0}, pollfd{far, POLLIN, 0}};
    if (::poll(ends.data(), ends.size(), 20'000) <= 0) return false;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].revents == 0) continue;
      std::array<std::byte, 4096> bytes;
      const ssize_t count = ::recv(ends[i].fd, bytes.data(), bytes.size(), 0);
      if (count <= 0) return false;
      const auto size = static_cast<std::size_t>(count);
      if (i == 0) {
        said_.insert(said_.end(), bytes.begin(), bytes.begin() + count);
        const std::size_t before = said_.size() - size;
        if (spoil_ >= before && spoil_ < said_.size()) bytes[spoil_ - before] ^= std::byte{1};
      }
      if (::send(ends[1 - i].fd, bytes.data(), size, MSG_NOSIGNAL) != count) return false;
    }
    return true;
  }

  const net::Address to_;
  const std::size_t spoil_;
  int listening_ = -1;
  net::Address address_;
  Bytes said_;
  std::thread thread_;
};

}  // namespace dl::test
