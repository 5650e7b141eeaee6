// SPDX-License-Identifier: MIT
#include "net/unix_door.h"

#include <openssl/crypto.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "net/acceptor.h"
#include "net/asio.h"
#include "net/stream.h"

namespace dl::net {

namespace {

constexpr std::byte kWelcome{1};    // the door's answer to a pass
constexpr const char* kPeerName = "unix socket";

using Token = std::array<std::byte, UnixPass::kTokenBytes>;

void fill_at_random(std::span<std::byte> bytes) {
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    fail_errno(Exit::io, errno, "getrandom");
  }
}

std::string random_name() {
  std::array<std::byte, 16> bytes;
  fill_at_random(bytes);
  std::string name = "dl-";
  for (const std::byte byte : bytes) name += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return name;
}

Unix::endpoint endpoint_of(const std::string& name) { return {std::string(1, '\0') + name}; }

// Whether the process at the other end, when it connected or listened, was of the user that we are.
bool same_user(Unix::socket& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         size == sizeof peer && peer.uid == ::geteuid();
}

enum class Heard { all, some, end };

// Receives into what is left of `into`; `have` counts.
Heard receive(Unix::socket& socket, std::span<std::byte> into, std::size_t& have) {
  const ssize_t count =
      ::recv(socket.native_handle(), into.data() + have, into.size() - have, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return Heard::some;
  if (count <= 0) return Heard::end;
  have += static_cast<std::size_t>(count);
  return have == into.size() ? Heard::all : Heard::some;
}

// A few bytes into a buffer that is still empty; a peer that is gone shows in the next read.
void say(Unix::socket& socket, ByteView bytes) {
  static_cast<void>(
      ::send(socket.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

}  // namespace

struct UnixDoor::State : std::enable_shared_from_this<UnixDoor::State> {
  State(Loop& its_loop, Milliseconds its_patience)
      : loop(its_loop), acceptor(std::make_shared<Acceptor<Unix>>(its_loop)), patience(its_patience) {}

  struct Knocking {
    Knocking(Loop& loop, Unix::socket its_socket) : socket(std::move(its_socket)), limit(loop) {}
    Unix::socket socket;
    Timer limit;
    Token said{};
    std::size_t have = 0;
  };
  struct Invited {
    Token token;
    std::function<void(std::shared_ptr<Connection>)> came;
  };

  void listen() {
    acceptor->listen(endpoint_of(name), false, "a Unix socket");
    acceptor->take_each([weak = weak_from_this()](Unix::socket socket) {
      if (const auto self = weak.lock()) self->take(std::move(socket));
    });
  }

  void take(Unix::socket socket) {
    if (!same_user(socket)) return;  // closed
    if (knocking.size() >= kMostKnocking) knocking.pop_front();
    const auto one = knocking.emplace_back(std::make_shared<Knocking>(loop, std::move(socket)));
    one->limit.after(patience, [weak = weak_from_this(), who = std::weak_ptr(one)] {
      if (const auto self = weak.lock()) self->knocking.remove(who.lock());
    });
    hear(one);
  }

  void hear(const std::shared_ptr<Knocking>& one) {
    switch (receive(one->socket, one->said, one->have)) {
      case Heard::all: judge(one); return;
      case Heard::end: knocking.remove(one); return;
      case Heard::some: break;
    }
    one->socket.async_wait(Unix::socket::wait_read,
                           [weak = weak_from_this(), who = std::weak_ptr(one)](error_code error) {
                             const auto self = weak.lock();
                             const auto held = who.lock();
                             if (self && held && !error) self->hear(held);
                           });
  }

  void judge(const std::shared_ptr<Knocking>& one) {
    const std::shared_ptr<Knocking> held = one;
    knocking.remove(held);
    // Each is looked at, whole: how long it takes tells nothing about them.
    std::size_t found = invited.size();
    for (std::size_t i = 0; i < invited.size(); ++i) {
      if (CRYPTO_memcmp(invited[i].token.data(), held->said.data(), held->said.size()) == 0) found = i;
    }
    if (found == invited.size()) return;  // closed, without a word
    const auto came = std::move(invited[found].came);
    invited.erase(invited.begin() + static_cast<std::ptrdiff_t>(found));
    say(held->socket, std::span(&kWelcome, 1));
    came(std::make_shared<Connection>(loop, make_stream(std::move(held->socket)), kPeerName));
  }

  void close() {
    acceptor->close();
    knocking.clear();
    invited.clear();
  }

  Loop& loop;
  const std::shared_ptr<Acceptor<Unix>> acceptor;
  const Milliseconds patience;
  const std::string name = random_name();
  std::list<std::shared_ptr<Knocking>> knocking;  // the oldest first
  std::vector<Invited> invited;
};

UnixDoor::UnixDoor(Loop& loop, Milliseconds patience) : loop_(loop) {
  loop_.call([&] {
    state_ = std::make_shared<State>(loop, patience);
    state_->listen();
  });
}

UnixDoor::~UnixDoor() {
  loop_.call([this] { state_->close(); });
}

UnixPass UnixDoor::invite(std::function<void(std::shared_ptr<Connection>)> came) {
  UnixPass pass{state_->name, {}};
  fill_at_random(pass.token);
  state_->invited.push_back({pass.token, std::move(came)});
  return pass;
}

void UnixDoor::take_back(const UnixPass& pass) {
  std::erase_if(state_->invited, [&](const State::Invited& one) { return one.token == pass.token; });
}

struct UnixDial::State : std::enable_shared_from_this<UnixDial::State> {
  State(Loop& its_loop, UnixPass its_pass, Events calls)
      : loop(its_loop), pass(std::move(its_pass)), events(std::move(calls)), socket(its_loop.core().io) {}

  void begin() {
    // A path that is too long is none that a door has.
    if (pass.name.empty() || pass.name.size() > kMostName) {
      settle("no such socket");
      return;
    }
    socket.async_connect(endpoint_of(pass.name), [self = shared_from_this()](error_code error) {
      if (self->over) return;
      if (error) {
        std::string text = error.message();
        text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
        self->settle(text);
      } else if (!same_user(self->socket)) {
        self->settle("it is another user's");
      } else {
        say(self->socket, self->pass.token);
        self->hear();
      }
    });
  }

  void hear() {
    std::size_t have = 0;
    switch (receive(socket, std::span(&answer, 1), have)) {
      case Heard::all: settle(answer == kWelcome ? "" : "it answers something else"); return;
      case Heard::end: settle("our pass was not taken"); return;
      case Heard::some: break;
    }
    socket.async_wait(Unix::socket::wait_read, [weak = weak_from_this()](error_code error) {
      if (const auto self = weak.lock(); self && !self->over && !error) self->hear();
    });
  }

  void settle(const std::string& reason) {
    over = true;
    const Events calls = std::move(events);
    if (reason.empty()) {
      calls.connected(std::make_shared<Connection>(loop, make_stream(std::move(socket)), kPeerName));
      return;
    }
    close();
    calls.failed(reason);
  }

  void close() {
    over = true;
    error_code ignored;
    socket.close(ignored);
  }

  static constexpr std::size_t kMostName = 100;

  Loop& loop;
  const UnixPass pass;
  Events events;
  Unix::socket socket;
  std::byte answer{};
  bool over = false;
};

UnixDial::UnixDial(Loop& loop, const UnixPass& pass, Events events)
    : state_(std::make_shared<State>(loop, pass, std::move(events))) {
  // Not from within the constructor: the callbacks may use the UnixDial that is being made.
  loop.post([weak = std::weak_ptr(state_)] {
    if (const auto state = weak.lock(); state && !state->over) state->begin();
  });
}

UnixDial::~UnixDial() {
  if (!state_->over) state_->close();
}

}  // namespace dl::net
