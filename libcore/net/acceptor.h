// SPDX-License-Identifier: MIT
// A listening socket that takes whoever comes; for net alone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "net/asio.h"
#include "net/loop.h"

namespace dl::net {

// On the loop. Where descriptors or memory have run out, it waits a moment and goes on accepting. Its owner closes it;
// nothing is taken after that.
template <typename Protocol>
class Acceptor : public std::enable_shared_from_this<Acceptor<Protocol>> {
 public:
  using Socket = typename Protocol::socket;

  explicit Acceptor(Loop& loop) : acceptor_(loop.core().io), pause_(loop) {}

  // Takes the address, where nobody is answered before listen(). IPv6's any address takes IPv4's too.
  error_code bind(const typename Protocol::endpoint& at, bool reuse_address) {
    error_code error;
    acceptor_.open(at.protocol(), error);
    if constexpr (std::is_same_v<Protocol, Tcp>) {
      if (!error && at.address() == asio::ip::address_v6::any()) acceptor_.set_option(asio::ip::v6_only(false), error);
    }
    if (!error && reuse_address) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(at, error);
    return error;
  }
  // Fails with 73, for people at `where`.
  void listen(const std::string& where) {
    error_code error;
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) refuse(where, error);
  }
  void listen(const typename Protocol::endpoint& at, bool reuse_address, const std::string& where) {
    if (const error_code error = bind(at, reuse_address)) refuse(where, error);
    listen(where);
  }
  [[noreturn]] static void refuse(const std::string& where, const error_code& error) {
    fail(Exit::cannot_create, "cannot listen on {}: {}", where, error.message());
  }
  typename Protocol::endpoint endpoint() const { return acceptor_.local_endpoint(); }

  void take_each(std::function<void(Socket)> take) {
    take_ = std::move(take);
    arm();
  }
  void close() {
    closed_ = true;
    pause_.cancel();
    error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  static constexpr Milliseconds kPause{50};

  void arm() {
    acceptor_.async_accept([self = this->shared_from_this()](error_code error, Socket socket) {
      if (self->closed_ || error == asio::error::operation_aborted) return;
      if (!error) {
        self->take_(std::move(socket));
      } else if (error != asio::error::connection_aborted) {
        self->pause_.after(kPause, [weak = self->weak_from_this()] {
          if (const auto held = weak.lock(); held && !held->closed_) held->arm();
        });
        return;
      }
      if (!self->closed_) self->arm();
    });
  }

  typename Protocol::acceptor acceptor_;
  Timer pause_;
  std::function<void(Socket)> take_;
  bool closed_ = false;
};

}  // namespace dl::net
