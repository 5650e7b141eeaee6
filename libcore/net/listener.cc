// SPDX-License-Identifier: MIT
#include "net/listener.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "net/acceptor.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/tls.h"

namespace dl::net {

namespace {

Tcp::endpoint own_endpoint(asio::io_context& io, const Address& address) {
  Tcp::endpoint endpoint;
  if (endpoint_of(address, endpoint)) return endpoint;
  error_code error;
  Tcp::resolver resolver(io);
  const auto found = resolver.resolve(address.host, std::to_string(address.port), error);
  if (error || found.empty()) {
    fail(Exit::cannot_create, "cannot listen on {}: no such host", to_string(address));
  }
  return found.begin()->endpoint();
}

bool lacks_family(const error_code& error) {
  return error == asio::error::address_family_not_supported || error == boost::system::errc::address_not_available;
}

}  // namespace

struct Listener::State : std::enable_shared_from_this<Listener::State> {
  State(Loop& its_loop, std::function<void(std::shared_ptr<Connection>)> to, Guard guard)
      : loop(its_loop), accepted(std::move(to)) {
    if (guard.credentials) door.emplace(loop, std::move(guard));
  }

  Address listen(const Address& address, Reach reach) {
    where = to_string(address);
    if (!address.host.empty()) {
      const auto here = std::make_shared<Acceptor<Tcp>>(loop);
      if (const error_code error = here->bind(own_endpoint(loop.core().io, address), true)) here->refuse(where, error);
      listen_on(here);
      return {address.host, here->endpoint().port()};
    }
    everywhere = bind_everywhere(address.port);
    const std::uint16_t port = everywhere->endpoint().port();
    if (reach == Reach::everywhere) {
      open_everywhere();
    } else {
      listen_near(port);
    }
    return {address.host, port};
  }

  std::shared_ptr<Acceptor<Tcp>> bind_everywhere(std::uint16_t port) {
    auto made = std::make_shared<Acceptor<Tcp>>(loop);
    error_code error = made->bind({Tcp::v6(), port}, true);
    if (lacks_family(error)) {
      made = std::make_shared<Acceptor<Tcp>>(loop);
      error = made->bind({Tcp::v4(), port}, true);
    }
    if (error) made->refuse(where, error);
    return made;
  }

  // Beside the socket that keeps the port everywhere, which may be, since that one does not listen.
  void listen_near(std::uint16_t port) {
    for (const asio::ip::address& ip : {asio::ip::address(asio::ip::address_v4::loopback()),
                                        asio::ip::address(asio::ip::address_v6::loopback())}) {
      const auto here = std::make_shared<Acceptor<Tcp>>(loop);
      const error_code error = here->bind({ip, port}, true);
      if (ip.is_v6() && lacks_family(error)) continue;
      if (error) here->refuse(where, error);
      listen_on(here);
    }
  }

  // Who comes in between the two is refused, and tries again as it would before we began.
  void open_everywhere() {
    if (!everywhere) return;
    close_all();
    listen_on(std::exchange(everywhere, nullptr));
  }

  void listen_on(std::shared_ptr<Acceptor<Tcp>> acceptor) {
    acceptor->listen(where);
    acceptor->take_each([weak = weak_from_this()](Tcp::socket socket) {
      if (const auto self = weak.lock()) self->take(std::move(socket));
    });
    listening.push_back(std::move(acceptor));
  }

  void close_all() {
    for (const auto& acceptor : listening) acceptor->close();
    listening.clear();
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
    close_all();
    everywhere.reset();
    if (door) door->shut();
  }

  Loop& loop;
  std::string where;  // for people
  std::vector<std::shared_ptr<Acceptor<Tcp>>> listening;
  std::shared_ptr<Acceptor<Tcp>> everywhere;  // keeps the port until open_everywhere()
  std::function<void(std::shared_ptr<Connection>)> accepted;
  std::optional<Door> door;
  bool closed = false;
};

Listener::Listener(Loop& loop, const Address& address,
                   std::function<void(std::shared_ptr<Connection>)> accepted, Guard guard, Reach reach)
    : loop_(loop) {
  loop_.call([&] {
    state_ = std::make_shared<State>(loop, std::move(accepted), std::move(guard));
    address_ = state_->listen(address, reach);
  });
}

Listener::~Listener() {
  loop_.call([this] { state_->close(); });
}

void Listener::open_everywhere() { state_->open_everywhere(); }

}  // namespace dl::net
