// SPDX-License-Identifier: MIT
#include "net/listener.h"

#include <optional>

#include "base/error.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/tls.h"

namespace dl::net {

namespace {

constexpr Milliseconds kPause(50);  // before accepting again where descriptors or memory ran out

Tcp::endpoint own_endpoint(asio::io_context& io, const Address& address) {
  Tcp::endpoint endpoint;
  if (address.host.empty()) return {Tcp::v4(), address.port};
  if (endpoint_of(address, endpoint)) return endpoint;
  error_code error;
  Tcp::resolver resolver(io);
  const auto found = resolver.resolve(address.host, std::to_string(address.port), error);
  if (error || found.empty()) {
    fail(Exit::cannot_create, "cannot listen on {}: no such host", to_string(address));
  }
  return found.begin()->endpoint();
}

}  // namespace

struct Listener::State : std::enable_shared_from_this<Listener::State> {
  State(Loop& its_loop, std::function<void(std::shared_ptr<Connection>)> to, Guard guard)
      : loop(its_loop), acceptor(loop.core().io), pause(its_loop), accepted(std::move(to)) {
    if (guard.credentials) door.emplace(loop, std::move(guard));
  }

  Address listen(const Address& address) {
    const Tcp::endpoint endpoint = own_endpoint(loop.core().io, address);
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(Tcp::acceptor::max_listen_connections, error);
    if (error) {
      fail(Exit::cannot_create, "cannot listen on {}: {}", to_string(address), error.message());
    }
    return {address.host, acceptor.local_endpoint().port()};
  }

  void arm() {
    acceptor.async_accept([self = shared_from_this()](error_code error, Tcp::socket socket) {
      if (self->closed || error == asio::error::operation_aborted) return;
      if (!error) {
        self->take(std::move(socket));
      } else if (error != asio::error::connection_aborted) {
        self->pause.after(kPause, [weak = self->weak_from_this()] {
          if (const auto held = weak.lock(); held && !held->closed) held->arm();
        });
        return;
      }
      if (!self->closed) self->arm();
    });
  }

  void take(Tcp::socket socket) {
    error_code error;
    const Tcp::endpoint from = socket.remote_endpoint(error);
    if (error) return;  // gone again
    const Tcp::endpoint at = socket.local_endpoint(error);
    if (error) return;
    const std::string peer = to_string(address_of(from)), host = address_of(at).host;
    if (!door) {
      accepted(std::make_shared<Connection>(loop, make_stream(std::move(socket)), peer, host));
      return;
    }
    door->knock({std::move(socket)}, peer, [weak = weak_from_this(), peer, host](std::unique_ptr<Stream> stream) {
      const auto self = weak.lock();
      if (!self || self->closed) return;
      self->accepted(std::make_shared<Connection>(self->loop, std::move(stream), peer, host));
    });
  }

  void close() {
    closed = true;
    pause.cancel();
    if (door) door->shut();
    error_code ignored;
    acceptor.close(ignored);
  }

  Loop& loop;
  Tcp::acceptor acceptor;
  Timer pause;
  std::function<void(std::shared_ptr<Connection>)> accepted;
  std::optional<Door> door;
  bool closed = false;
};

Listener::Listener(Loop& loop, const Address& address,
                   std::function<void(std::shared_ptr<Connection>)> accepted, Guard guard)
    : loop_(loop) {
  loop_.call([&] {
    state_ = std::make_shared<State>(loop, std::move(accepted), std::move(guard));
    address_ = state_->listen(address);
    state_->arm();
  });
}

Listener::~Listener() {
  loop_.call([this] { state_->close(); });
}

}  // namespace dl::net
