// SPDX-License-Identifier: MIT
#include "net/dial.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/clock.h"
#include "net/lookup.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/tls.h"

namespace dl::net {

namespace {
constexpr Milliseconds kFirstPause(10), kLongestPause(500);
}

struct Dial::State : std::enable_shared_from_this<Dial::State> {
  State(Loop& its_loop, Address to, Milliseconds patience, Events calls,
        std::shared_ptr<const Credentials> shown)
      : loop(its_loop),
        credentials(std::move(shown)),
        address(std::move(to)),
        deadline_ns(monotonic_ns() + patience.count() * 1'000'000),
        events(std::move(calls)),
        socket(its_loop.core().io),
        again(its_loop),
        limit(its_loop) {}

  Milliseconds left() const { return Milliseconds((deadline_ns - monotonic_ns()) / 1'000'000); }

  void begin() {
    // A peer that takes nothing in (packets dropped) would hold connect() for minutes.
    limit.after(std::max(left(), Milliseconds(1)), [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && !self->over) {
        self->give_up(self->last_reason.empty() ? "no answer" : self->last_reason);
      }
    });
    attempt();
  }

  void attempt() {
    Tcp::endpoint endpoint;
    if (endpoint_of(address, endpoint)) {
      connect({endpoint});
      return;
    }
    lookup.emplace(loop, address, [weak = weak_from_this()](std::vector<Tcp::endpoint> found) {
      if (const auto self = weak.lock(); self && !self->over) self->connect(std::move(found));
    });
  }

  void connect(std::vector<Tcp::endpoint> endpoints) {
    if (endpoints.empty()) {
      retry("no such host");
      return;
    }
    const Tcp::endpoint to = endpoints.front();
    endpoints.erase(endpoints.begin());
    socket = Tcp::socket(loop.core().io);
    socket.async_connect(to, [self = shared_from_this(), to, endpoints](error_code error) {
      if (self->over) return;
      if (!error) {
        self->succeed(to);
      } else if (!endpoints.empty()) {
        self->connect(endpoints);
      } else {
        std::string text = error.message();
        text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
        self->retry(text);
      }
    });
  }

  void succeed(const Tcp::endpoint& to) {
    // Where nobody listens on a port of our own range, a socket may connect to itself.
    error_code error;
    if (socket.local_endpoint(error) == to) {
      socket.close(error);
      retry("connection refused");
      return;
    }
    const std::string peer = to_string(address_of(to));
    if (!credentials) {
      hand_over(make_stream(std::move(socket)), peer);
      return;
    }
    tls = std::make_shared<Tls>(std::move(socket), credentials, Tls::Side::client);
    tls->greet([weak = weak_from_this(), peer](Tls::Outcome outcome, const std::string& reason) {
      if (const auto self = weak.lock(); self && !self->over) self->greeted(outcome, reason, peer);
    });
  }

  void greeted(Tls::Outcome outcome, const std::string& reason, const std::string& peer) {
    const std::shared_ptr<Tls> ours = std::move(tls);
    switch (outcome) {
      case Tls::Outcome::passed: hand_over(make_stream(ours), peer); return;
      case Tls::Outcome::gone: retry(reason); return;
      case Tls::Outcome::plain:
      case Tls::Outcome::denied: give_up(reason, true); return;
    }
  }

  void hand_over(std::unique_ptr<Stream> stream, const std::string& peer) {
    end();
    const auto connected = std::move(events.connected);
    connected(std::make_shared<Connection>(loop, std::move(stream), peer));
  }

  void retry(const std::string& reason) {
    last_reason = reason;
    if (left().count() <= 0) {
      give_up(reason);
      return;
    }
    again.after(std::min(pause, std::max(left(), Milliseconds(1))), [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && !self->over) self->attempt();
    });
    pause = std::min(2 * pause, kLongestPause);
  }

  void give_up(const std::string& reason, bool denied = false) {
    end();
    error_code ignored;
    socket.close(ignored);
    const auto failed = std::move(denied && events.denied ? events.denied : events.failed);
    if (failed) failed(reason);
  }

  void end() {
    over = true;
    again.cancel();
    limit.cancel();
    lookup.reset();
    tls.reset();
  }

  Loop& loop;
  std::shared_ptr<const Credentials> credentials;
  std::shared_ptr<Tls> tls;  // while it greets
  Address address;
  std::int64_t deadline_ns;
  Events events;
  std::optional<Lookup> lookup;
  Tcp::socket socket;
  Timer again, limit;
  Milliseconds pause = kFirstPause;
  std::string last_reason;
  bool over = false;
};

Dial::Dial(Loop& loop, Address address, Milliseconds patience, Events events,
           std::shared_ptr<const Credentials> credentials)
    : state_(std::make_shared<State>(loop, std::move(address), patience, std::move(events),
                                     std::move(credentials))) {
  // Not from within the constructor: the callbacks may use the Dial that is being made.
  loop.post([weak = std::weak_ptr(state_)] {
    if (const auto state = weak.lock(); state && !state->over) state->begin();
  });
}

Dial::~Dial() {
  if (state_->over) return;
  state_->end();
  error_code ignored;
  state_->socket.close(ignored);
}

}  // namespace dl::net
