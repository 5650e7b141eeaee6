// SPDX-License-Identifier: MIT
// Who has the key is in; everybody else gets nothing.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/clock.h"
#include "net/asio.h"
#include "net/dial.h"
#include "net/listener.h"
#include "support/keys.h"
#include "relay.h"

using namespace dl;
using net::Connection;
using net::Dial;
using net::Listener;
using net::Loop;
using net::Milliseconds;
using net::Type;
using test::key_of;
using test::raw_socket;
using test::Relay;

namespace {

const std::string kSecret = "nobody else reads this sentence about the model";

Bytes refusal() { return net::encode_frame({.type = Type::refuse}, as_bytes_of(std::string_view("no"))); }

// A place with a key. Whoever comes in is told the secret; everything is written down.
struct House {
  Loop loop;
  std::vector<std::shared_ptr<Connection>> guests;
  std::vector<std::string> refused, heard, closed;
  std::function<void()> changed = [] {};
  std::optional<Listener> listener;
  net::Timer limit{loop};

  explicit House(std::shared_ptr<const net::Key> key, Milliseconds patience = Milliseconds(5000)) {
    const auto refuse = [this](const std::string&, const std::string& reason) {
      refused.push_back(reason);
      changed();
    };
    listener.emplace(
        loop, net::Address{"127.0.0.1", 0},
        [this](std::shared_ptr<Connection> guest) {
          guests.push_back(guest);
          Connection::Events events;
          events.message = [this](const net::Header&, ByteView payload) {
            heard.emplace_back(reinterpret_cast<const char*>(payload.data()), payload.size());
            changed();
          };
          events.closed = [this](const std::string& why) {
            closed.push_back(why);
            changed();
          };
          guest->open(events);
          guest->send(Type::welcome, as_bytes_of(std::string_view(kSecret)));
          changed();
        },
        net::Guard{std::move(key), refusal(), refuse, patience});
    limit.after(Milliseconds(20'000), [] { throw std::runtime_error("the test took too long"); });
  }

  void run_until(std::function<bool()> met) {
    changed = [this, met = std::move(met)] {
      if (met()) loop.stop();
    };
    loop.core().io.restart();  // it was stopped before, maybe
    loop.run();
    changed = [] {};
  }
};

// What came back until the end, to someone who sends these bytes.
struct Stranger {
  Stranger(House& house, const Bytes& bytes) : fd(raw_socket(house.listener->address())) {
    REQUIRE(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  ~Stranger() { ::close(fd); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  std::string answer() const {
    std::string all(64 * 1024, '\0');
    std::size_t size = 0;
    for (ssize_t count = 1; count > 0 && size < all.size();) {
      count = ::recv(fd, all.data() + size, all.size() - size, MSG_DONTWAIT);
      if (count > 0) size += static_cast<std::size_t>(count);
    }
    return all.substr(0, size);
  }
  const int fd;
};

// Dials with this key and says one thing.
struct Guest {
  Guest(House& house, const net::Address& to, std::shared_ptr<const net::Key> key)
      : dial(house.loop, to, Milliseconds(10'000),
             {.connected =
                  [this, &house](std::shared_ptr<Connection> made) {
                    connection = std::move(made);
                    Connection::Events events;
                    events.message = [this, &house](const net::Header& header, ByteView payload) {
                      type = header.type;
                      told.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
                      house.changed();
                    };
                    events.closed = [this, &house](const std::string& why) {
                      closed = why;
                      house.changed();
                    };
                    connection->open(events);
                    connection->send(Type::report, as_bytes_of(std::string_view("good evening")));
                  },
              .failed = [](const std::string& why) { FAIL(why); },
              .denied =
                  [this, &house](const std::string& why) {
                    denied = why;
                    house.changed();
                  }},
             std::move(key)) {}
  std::shared_ptr<Connection> connection;
  std::string told, closed, denied;
  Type type = Type::hello;
  Dial dial;
};

}  // namespace

TEST_CASE("tls: who has the key is in, and nothing is to be read on the wire") {
  House house(key_of(1));
  Relay wire(house.listener->address());
  Guest guest(house, wire.address(), key_of(1));
  house.run_until([&] { return !house.heard.empty() && !guest.told.empty(); });
  CHECK(house.heard == std::vector<std::string>{"good evening"});
  CHECK(guest.told == kSecret);
  guest.connection.reset();
  house.guests.clear();
  const Bytes& said = wire.said();
  const ByteView words = as_bytes_of(std::string_view("evening"));
  CHECK(said.size() > 200);
  CHECK(std::search(said.begin(), said.end(), words.begin(), words.end()) == said.end());
}

TEST_CASE("tls: another key is refused, and both sides know why") {
  House house(key_of(1));
  Guest guest(house, house.listener->address(), key_of(2));
  house.run_until([&] { return !guest.denied.empty() && !house.refused.empty(); });
  CHECK(guest.denied == "it does not take our key");
  CHECK(house.refused == std::vector<std::string>{"it has another key"});
  CHECK(house.guests.empty());
}

TEST_CASE("tls: a peer without a key is told so in plain words") {
  House house(key_of(1));
  Guest guest(house, house.listener->address(), nullptr);
  house.run_until([&] { return !guest.told.empty(); });
  CHECK(guest.type == Type::refuse);
  CHECK(guest.told == "no");
  CHECK(house.refused == std::vector<std::string>{"it speaks without a key"});
  CHECK(house.guests.empty());
}

TEST_CASE("tls: a key at a place without one is noticed on both sides") {
  House house(nullptr);
  Guest guest(house, house.listener->address(), key_of(1));
  house.run_until([&] { return !guest.denied.empty() && !house.closed.empty(); });
  CHECK(guest.denied == "it speaks without a key");
  CHECK(house.closed.front().find("TLS where plain frames are spoken") == 0);
}

TEST_CASE("tls: a recorded session, played again, opens nothing") {
  House house(key_of(1));
  Bytes recorded;
  {
    Relay wire(house.listener->address());
    Guest guest(house, wire.address(), key_of(1));
    house.run_until([&] { return !house.heard.empty() && !guest.told.empty(); });
    guest.connection.reset();
    house.guests.clear();
    recorded = wire.said();
  }
  house.heard.clear();
  const Stranger again(house, recorded);
  house.run_until([&] { return !house.refused.empty(); });
  CHECK(house.refused.front().find("it does not show the key") == 0);
  CHECK(house.guests.empty());
  CHECK(house.heard.empty());
  CHECK(again.answer().find(kSecret) == std::string::npos);
  CHECK(again.answer().size() < 1000);  // the greeting alone
}

TEST_CASE("tls: a byte changed on the wire ends the connection, wherever it is") {
  std::size_t length = 0;
  {
    House house(key_of(1));
    Relay wire(house.listener->address());
    Guest guest(house, wire.address(), key_of(1));
    house.run_until([&] { return !house.heard.empty() && !guest.told.empty(); });
    guest.connection.reset();
    house.guests.clear();
    length = wire.said().size();
  }
  // The last record is what the guest says; the bytes before are the greeting.
  for (const std::size_t at : {length - 1, length - 20, length - 60, length - 80, length / 2, std::size_t{50}}) {
    House house(key_of(1));
    Relay wire(house.listener->address(), at);
    Guest guest(house, wire.address(), key_of(1));
    house.run_until([&] {
      return !house.refused.empty() || !house.closed.empty() || !guest.denied.empty();
    });
    CHECK(house.heard.empty());
    guest.connection.reset();
    house.guests.clear();
  }
}

TEST_CASE("tls: much that is no greeting is not listened to") {
  House house(key_of(1));
  Bytes endless(5000, std::byte{0});
  const Bytes head = {std::byte{22}, std::byte{3}, std::byte{1}, std::byte{0x40}, std::byte{0},
                      std::byte{1},  std::byte{0}, std::byte{0x3f}, std::byte{0xfc}};
  std::copy(head.begin(), head.end(), endless.begin());
  const Stranger stranger(house, endless);
  house.run_until([&] { return !house.refused.empty(); });
  CHECK(house.refused.front() == "4096 bytes, and no key among them");
}

TEST_CASE("tls: who says nothing, or half of it, has to go in time") {
  House house(key_of(1), Milliseconds(60));
  const Stranger silent(house, {});
  const Stranger slow(house, Bytes(3, std::byte{22}));
  house.run_until([&] { return house.refused.size() == 2; });
  CHECK(house.refused == std::vector<std::string>(2, "no key within 0.06 s"));
}

TEST_CASE("tls: hundreds who have no key do not keep out one who has it") {
  House house(key_of(1));
  std::vector<std::unique_ptr<Stranger>> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.push_back(std::make_unique<Stranger>(house, Bytes{}));
    crowd.push_back(std::make_unique<Stranger>(house, Bytes(1000, static_cast<std::byte>(i))));
  }
  const std::int64_t begin = monotonic_ns();
  Guest guest(house, house.listener->address(), key_of(1));
  house.run_until([&] { return !house.heard.empty() && !guest.told.empty(); });
  CHECK(seconds_between(begin, monotonic_ns()) < 1.0);
  CHECK(house.guests.size() == 1);
  CHECK(house.refused.size() >= 200 - net::Door::kMostKnocking);
  guest.connection.reset();
}
