// SPDX-License-Identifier: MIT
// Who has the key is in; everybody else gets nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "base/clock.h"
#include "house.h"
#include "relay.h"
#include "support/keys.h"

using namespace dl;
using net::Milliseconds;
using net::Type;
using test::Guest;
using test::House;
using test::key_of;
using test::kSecret;
using test::Relay;
using test::Stranger;

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

TEST_CASE("tls: who goes on talking when it was refused is thrown out after a megabyte") {
  House house(key_of(1));
  std::size_t said = 0;
  std::thread talker([&, to = house.listener->address()] {
    const int fd = test::raw_socket(to);
    const Bytes words(64 * 1024, std::byte{0});
    for (ssize_t count = 1; count > 0; said += count > 0 ? static_cast<std::size_t>(count) : 0) {
      count = ::send(fd, words.data(), words.size(), MSG_NOSIGNAL);
    }
    ::close(fd);
    house.loop.post([&] { house.loop.stop(); });
  });
  house.run_until([] { return false; });
  talker.join();
  CHECK(said >= 1024 * 1024);
  CHECK(said < 64 * 1024 * 1024);  // what the system had taken for it
  CHECK(house.refused == std::vector<std::string>(1, "it speaks neither dl nor TLS"));
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
