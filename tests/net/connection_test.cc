// SPDX-License-Identifier: MIT
#include "net/connection.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <numeric>
#include <optional>

#include "net/dial.h"
#include "net/listener.h"

using namespace dl;
using net::Connection;
using net::Dial;
using net::Header;
using net::Listener;
using net::Loop;
using net::Milliseconds;
using net::Type;

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

  explicit Pair(std::function<void(Pair&)> ready) {
    listener.emplace(loop, net::Address{"127.0.0.1", 0}, [this, ready](std::shared_ptr<Connection> c) {
      there = std::move(c);
      if (here) ready(*this);
    });
    dial = std::make_unique<Dial>(loop, listener->address(), Milliseconds(5000),
                                  Dial::Events{[this, ready](std::shared_ptr<Connection> c) {
                                                 here = std::move(c);
                                                 if (there) ready(*this);
                                               },
                                               [](const std::string& why) { FAIL(why); }});
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

int raw_socket(const net::Address& to) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(to.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

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

TEST_CASE("listener: a port in use is 73 and named") {
  Loop loop;
  Listener first(loop, {"127.0.0.1", 0}, [](auto) {});
  CHECK(first.port() != 0);
  try {
    Listener second(loop, first.address(), [](auto) {});
    FAIL("both listen");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::cannot_create);
    CHECK(std::string(e.what()) ==
          "cannot listen on " + net::to_string(first.address()) + ": Address already in use");
  }
}

TEST_CASE("listener: goes on when file descriptors are there again") {
  Loop loop;
  int taken = 0;
  std::vector<std::shared_ptr<Connection>> held;
  Listener listener(loop, {"127.0.0.1", 0}, [&](std::shared_ptr<Connection> c) {
    held.push_back(std::move(c));
    if (++taken == 2) loop.stop();
  });
  const int one = raw_socket(listener.address());
  const int two = raw_socket(listener.address());
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  few.rlim_cur = 0;
  ::setrlimit(RLIMIT_NOFILE, &few);
  net::Timer relief(loop);
  relief.after(Milliseconds(120), [&] {
    CHECK(taken == 0);
    ::setrlimit(RLIMIT_NOFILE, &before);
  });
  loop.run();
  CHECK(taken == 2);
  ::close(one);
  ::close(two);
}

TEST_CASE("dial: waits for a listener that comes later") {
  Loop loop;
  std::uint16_t port = 0;
  { port = Listener(loop, {"127.0.0.1", 0}, [](auto) {}).port(); }
  std::optional<Listener> listener;
  std::shared_ptr<Connection> taken, made;
  Dial dial(loop, {"localhost", port}, Milliseconds(10000),
            {[&](std::shared_ptr<Connection> c) {
               made = std::move(c);
               loop.stop();
             },
             [](const std::string& why) { FAIL(why); }});
  net::Timer later(loop);
  later.after(Milliseconds(60), [&] {
    listener.emplace(loop, net::Address{"127.0.0.1", port},
                     [&](std::shared_ptr<Connection> c) { taken = std::move(c); });
  });
  loop.run();
  REQUIRE(made);
  CHECK(made->peer() == fmt::format("127.0.0.1:{}", port));
  CHECK(made->peer_host() == "127.0.0.1");
}

TEST_CASE("dial: gives up in time and says why") {
  Loop loop;
  std::uint16_t port = 0;
  { port = Listener(loop, {"127.0.0.1", 0}, [](auto) {}).port(); }
  std::string reason;
  Dial dial(loop, {"127.0.0.1", port}, Milliseconds(100),
            {[](auto) { FAIL("nobody listens"); },
             [&](const std::string& why) {
               reason = why;
               loop.stop();
             }});
  loop.run();
  CHECK(reason == "connection refused");
}

TEST_CASE("loop: work from other threads is done, and exceptions come back from call") {
  Loop loop;
  loop.start();
  int done = 0;
  loop.post([&] { ++done; });
  loop.call([&] {
    CHECK(loop.inside());
    ++done;
  });
  CHECK(done == 2);
  CHECK_FALSE(loop.inside());
  CHECK_THROWS_AS(loop.call([] { fail(Exit::data, "no"); }), Error);
  loop.stop();
  loop.call([&] { ++done; });
  CHECK(done == 3);
}

TEST_CASE("loop: an exception that leaves a callback is handed over") {
  Loop loop;
  std::exception_ptr got;
  loop.start([&](std::exception_ptr e) { got = e; });
  loop.post([] { fail(Exit::bug, "broken"); });
  loop.stop();
  // stop() may come before the callback; then nothing was thrown.
  if (got) CHECK_THROWS_AS(std::rethrow_exception(got), Error);
}

TEST_CASE("loop: signals arrive as calls, each time") {
  Loop loop;
  int got = 0;
  net::Signals signals(loop, {SIGUSR1}, [&](int number) {
    CHECK(number == SIGUSR1);
    if (++got == 2) {
      loop.stop();
    } else {
      ::raise(SIGUSR1);
    }
  });
  loop.post([] { ::raise(SIGUSR1); });
  loop.run();
  CHECK(got == 2);
}

TEST_CASE("loop: a timer that was set again or cancelled calls once or not at all") {
  Loop loop;
  int first = 0, second = 0, third = 0;
  net::Timer timer(loop), cancelled(loop), end(loop);
  timer.after(Milliseconds(1), [&] { ++first; });
  timer.after(Milliseconds(2), [&] { ++second; });
  cancelled.after(Milliseconds(1), [&] { ++third; });
  cancelled.cancel();
  end.after(Milliseconds(30), [&] { loop.stop(); });
  loop.run();
  CHECK(first == 0);
  CHECK(second == 1);
  CHECK(third == 0);
}
