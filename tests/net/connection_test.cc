// SPDX-License-Identifier: MIT
#include "net/connection.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <numeric>
#include <optional>

#include "net/dial.h"
#include "net/listener.h"
#include "support/keys.h"
#include "raw_socket.h"

using namespace dl;
using net::Connection;
using net::Dial;
using net::Header;
using net::Listener;
using net::Loop;
using net::Milliseconds;
using net::Type;
using test::raw_socket;

namespace {

struct Ping {
  static constexpr Type type = Type::heartbeat;
  std::uint64_t value = 0;
  template <class A> void serialize(A& a, unsigned) { a & value; }
};

// The test's own thread runs the loop, so everything below happens in one thread, until done().
struct Pair {
  Loop loop;
  std::shared_ptr<Connection> here, there;
  std::string here_closed, there_closed;
  std::unique_ptr<Dial> dial;
  std::optional<Listener> listener;
  net::Timer limit{loop};

  // Each test that has a pair runs twice.
  explicit Pair(std::function<void(Pair&)> ready) {
    std::shared_ptr<const net::Key> key;
    SUBCASE("in plain TCP") {}
    SUBCASE("under a key") {
      key = test::key_of(1);
    }
    listener.emplace(
        loop, net::Address{"127.0.0.1", 0},
        [this, ready](std::shared_ptr<Connection> c) {
          there = std::move(c);
          if (here) ready(*this);
        },
        net::Guard{.credentials = key});
    dial = std::make_unique<Dial>(loop, listener->address(), Milliseconds(5000),
                                  Dial::Events{[this, ready](std::shared_ptr<Connection> c) {
                                                 here = std::move(c);
                                                 if (there) ready(*this);
                                               },
                                               [](const std::string& why) { FAIL(why); }},
                                  key);
    limit.after(Milliseconds(20000), [] { throw std::runtime_error("the test took too long"); });
  }
  void run() { loop.run(); }
  void done() { loop.stop(); }

  Connection::Events ignoring(std::string& closed, bool ends = true) {
    Connection::Events events;
    events.closed = [this, &closed, ends](const std::string& why) {
      closed = why;
      if (ends) done();
    };
    return events;
  }
};

// What a connection says of a peer that sends these bytes and closes.
std::string said_of(const Bytes& bytes, std::uint32_t bound = 0) {
  Loop loop;
  std::shared_ptr<Connection> taken;
  std::string reason;
  Listener listener(loop, {"127.0.0.1", 0}, [&](std::shared_ptr<Connection> c) {
    taken = std::move(c);
    taken->bound(bound);
    Connection::Events events;
    events.closed = [&](const std::string& why) {
      reason = why;
      loop.stop();
    };
    taken->open(events);
  });
  const int fd = raw_socket(listener.address());
  REQUIRE(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
  ::close(fd);
  loop.run();
  return reason;
}

Bytes frame(Type type, std::size_t size, std::uint64_t sequence = 0) {
  Header header;
  header.type = type;
  header.sequence = sequence;
  return net::encode_frame(header, Bytes(size));
}

}  // namespace

TEST_CASE("connection: messages arrive in order, with their generation") {
  std::vector<std::uint64_t> got;
  Pair pair([&](Pair& p) {
    Connection::Events events;
    events.message = [&](const Header& header, ByteView payload) {
      CHECK(header.generation == 7);
      got.push_back(net::decode<Ping>(payload).value);
      if (got.size() == 1000) p.done();
    };
    p.there->open(events);
    p.here->open({});
    for (std::uint64_t i = 0; i < 1000; ++i) p.here->send(Ping{i}, 7);
  });
  pair.run();
  REQUIRE(got.size() == 1000);
  for (std::uint64_t i = 0; i < 1000; ++i) CHECK(got[i] == i);
}

TEST_CASE("connection: floats go from span to span, small and large, between messages") {
  std::vector<std::vector<float>> sent, received;
  for (const std::size_t n : {0, 1, 1000, 5000, 3000000}) {
    sent.emplace_back(n);
    std::iota(sent.back().begin(), sent.back().end(), 0.5F);
    received.emplace_back(n);
  }
  std::size_t placed = 0, pings = 0, left = sent.size();
  Pair pair([&](Pair& p) {
    Connection::Events events;
    events.place = [&](const Header& header) {
      CHECK(header.type == Type::part);
      return std::as_writable_bytes(std::span(received.at(header.sequence)));
    };
    events.placed = [&](const Header& header) {
      CHECK(header.sequence == placed);
      ++placed;
    };
    events.message = [&](const Header&, ByteView) {
      if (++pings == sent.size()) p.done();
    };
    p.there->open(events);
    p.here->open({});
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const ByteView all = std::as_bytes(std::span(sent[i]));
      const std::array<ByteView, 2> pieces = {all.first(all.size() / 8 * 4),
                                              all.subspan(all.size() / 8 * 4)};
      p.here->send_bulk(Type::part, 1, i, pieces, [&] { --left; });
      p.here->send(Ping{i});
    }
    CHECK(p.here->queued() > 12'000'000);
  });
  pair.run();
  CHECK(placed == sent.size());
  CHECK(left == 0);
  CHECK(received == sent);
  CHECK(pair.here->queued() == 0);
}

TEST_CASE("connection: a message longer than any buffer arrives whole") {
  Bytes long_one(1 << 20);
  for (std::size_t i = 0; i < long_one.size(); ++i) long_one[i] = static_cast<std::byte>(i * 7);
  std::size_t equal = 0;
  Pair pair([&](Pair& p) {
    Connection::Events events;
    events.message = [&](const Header&, ByteView payload) {
      if (std::equal(payload.begin(), payload.end(), long_one.begin(), long_one.end())) ++equal;
      if (equal == 3) p.done();
    };
    p.there->open(events);
    p.here->open({});
    for (int i = 0; i < 3; ++i) p.here->send(Type::state_chunk, long_one);
  });
  pair.run();
  CHECK(equal == 3);
}

TEST_CASE("connection: close lets out what was queued") {
  std::uint64_t got = 0;
  bool done = false;
  Pair pair([&](Pair& p) {
    Connection::Events events;
    events.message = [&](const Header&, ByteView payload) { got += payload.size(); };
    events.closed = [&](const std::string& why) {
      p.there_closed = why;
      p.there.reset();
      if (done) p.done();
    };
    p.there->open(events);
    p.here->open({});
    for (int i = 0; i < 16; ++i) p.here->send(Type::state_chunk, Bytes(1 << 20));
    p.here->close([&] {
      done = true;
      if (!p.there_closed.empty()) p.done();
    });
    p.here.reset();
  });
  pair.run();
  CHECK(got == 16U << 20);
  CHECK(pair.there_closed == "closed by peer");
  CHECK(done);
}

TEST_CASE("connection: close ends when the peer reads nothing") {
  bool done = false;
  Pair pair([&](Pair& p) {
    p.here->open({});  // `there` is never opened: it reads nothing
    for (int i = 0; i < 32; ++i) p.here->send(Type::state_chunk, Bytes(1 << 20));
    p.here->close(
        [&] {
          done = true;
          p.done();
        },
        Milliseconds(50));
  });
  pair.run();
  CHECK(done);
}

TEST_CASE("connection: letting go of it closes the socket without a word") {
  Pair pair([&](Pair& p) {
    p.there->open(p.ignoring(p.there_closed));
    p.here->open(p.ignoring(p.here_closed));
    p.here.reset();
  });
  pair.run();
  CHECK(pair.there_closed == "closed by peer");
  CHECK(pair.here_closed.empty());
}

TEST_CASE("connection: abort says why, and the peer sees the end") {
  Pair pair([&](Pair& p) {
    p.there->open(p.ignoring(p.there_closed, true));
    p.here->open(p.ignoring(p.here_closed, false));
    p.here->abort("enough");
    CHECK(p.here_closed.empty());
  });
  pair.run();
  CHECK(pair.here_closed == "enough");
  CHECK(pair.there_closed == "closed by peer");
}

TEST_CASE("connection: a reset peer is named so") {
  Loop loop;
  std::shared_ptr<Connection> taken;
  std::string reason;
  int fd = -1;
  Listener listener(loop, {"127.0.0.1", 0}, [&](std::shared_ptr<Connection> c) {
    taken = std::move(c);
    Connection::Events events;
    events.closed = [&](const std::string& why) {
      reason = why;
      loop.stop();
    };
    taken->open(events);
    const linger at_once{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(fd);
  });
  fd = raw_socket(listener.address());
  loop.run();
  CHECK(reason == "connection reset by peer");
}

TEST_CASE("connection: whatever is no frame of dl ends it with a reason") {
  CHECK(said_of({}) == "closed by peer");
  CHECK(said_of(Bytes(10)) == "closed by peer in the middle of a frame");
  CHECK(said_of(Bytes(100)).find("no frame of dl begins with") == 0);
  Bytes cut = frame(Type::report, 5000);
  cut.pop_back();
  CHECK(said_of(cut) == "closed by peer in the middle of a frame");
  Bytes damaged = frame(Type::report, 5000);
  damaged.back() ^= std::byte{1};
  CHECK(said_of(damaged) == "a report frame whose payload has a wrong checksum");
  CHECK(said_of(frame(Type::report, 10, 1)) == "a report frame out of order");
  CHECK(said_of(frame(Type::part, 10)) == "a part frame that nobody waits for");
  CHECK(said_of(frame(Type::report, 5000), 1024) ==
        "a report frame of 5000 bytes, and 1024 may be at this point");
}

TEST_CASE("connection: a message that does not decode ends this connection, not the loop") {
  Pair pair([&](Pair& p) {
    Connection::Events events = p.ignoring(p.there_closed);
    events.message = [](const Header&, ByteView payload) { net::decode<Ping>(payload); };
    p.there->open(events);
    p.here->open({});
    p.here->send(Type::heartbeat, Bytes(3));
  });
  pair.run();
  CHECK(pair.there_closed == "a heartbeat message that ends too early");
}

TEST_CASE("connection: bulk of another length than the place is refused") {
  std::vector<float> data(10), place(11);
  Pair pair([&](Pair& p) {
    Connection::Events events = p.ignoring(p.there_closed);
    events.place = [&](const Header&) { return std::as_writable_bytes(std::span(place)); };
    p.there->open(events);
    p.here->open({});
    const ByteView piece = std::as_bytes(std::span(data));
    p.here->send_bulk(Type::result, 1, 0, std::span(&piece, 1));
  });
  pair.run();
  CHECK(pair.there_closed == "a result frame of 40 bytes where 44 belong");
}

TEST_CASE("connection: a silent peer is named when a limit is set") {
  Pair pair([&](Pair& p) {
    p.here->open(p.ignoring(p.here_closed));
    p.here->idle_limit(Milliseconds(100));
    p.there->open({});
  });
  pair.run();
  CHECK(pair.here_closed == "silent for 0.1 s");
}

TEST_CASE("connection: a peer that says something now and then is not silent") {
  int left = 8;
  Pair* self = nullptr;
  std::optional<net::Timer> beat;
  std::function<void()> tick = [&] {
    self->there->send(Ping{});
    if (--left == 0) {
      self->done();
    } else {
      beat->after(Milliseconds(50), tick);
    }
  };
  Pair pair([&](Pair& p) {
    self = &p;
    p.here->open(p.ignoring(p.here_closed));
    p.here->idle_limit(Milliseconds(200));
    p.there->open({});
    beat.emplace(p.loop);
    tick();
  });
  pair.run();
  CHECK(left == 0);
  CHECK(pair.here_closed.empty());
  beat.reset();
}

TEST_CASE("connection: what a peer said before it went is heard even where writing to it fails") {
  bool heard = false;
  Pair pair([&](Pair& p) {
    Connection::Events events = p.ignoring(p.there_closed);
    events.message = [&](const Header&, ByteView) { heard = true; };
    p.here->open({});
    p.here->send(Ping{1});
    p.here->flush();
    p.here.reset();
    p.there->open(events);
    for (int i = 0; i < 64; ++i) p.there->send(Type::state_chunk, Bytes(1 << 20));
  });
  pair.run();
  CHECK(heard);
  CHECK_FALSE(pair.there_closed.empty());
}
