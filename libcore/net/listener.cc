// SPDX-License-Identifier: MIT
#include "net/listener.h"

#include <optional>

#include "base/error.h"
#include "net/acceptor.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/tls.h"

namespace dl::net {

namespace {

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
      : loop(its_loop), acceptor(std::make_shared<Acceptor<Tcp>>(its_loop)), accepted(std::move(to)) {
    if (guard.credentials) door.emplace(loop, std::move(guard));
  }

  Address listen(const Address& address) {
    const Tcp::endpoint endpoint = own_endpoint(loop.core().io, address);
    acceptor->listen(endpoint, true, to_string(address));
    return {address.host, acceptor->endpoint().port()};
  }

  void begin() {
    acceptor->take_each([weak = weak_from_this()](Tcp::socket socket) {
      if (const auto self = weak.lock()) self->take(std::move(socket));
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
    acceptor->close();
    if (door) door->shut();
  }

  Loop& loop;
  const std::shared_ptr<Acceptor<Tcp>> acceptor;
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
    state_->begin();
  });
}

Listener::~Listener() {
  loop_.call([this] { state_->close(); });
}

}  // namespace dl::net
