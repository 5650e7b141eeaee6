// SPDX-License-Identifier: MIT
// Listener and dial: how connections come to be.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <optional>

#include "base/error.h"
#include "net/dial.h"
#include "net/listener.h"
#include "raw_socket.h"

using namespace dl;
using net::Connection;
using net::Dial;
using net::Listener;
using net::Loop;
using net::Milliseconds;
using test::raw_socket;

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

TEST_CASE("listener: on loopback, other addresses are closed until it opens, and then the port is the same") {
  Loop loop;
  loop.start();
  std::atomic<int> taken = 0;
  Listener listener(loop, {"", 0}, [&](auto) { ++taken; }, {}, net::Reach::loopback);
  const auto tried = [&](const char* host) { return test::attempt({host, listener.port()}); };
  CHECK(tried("127.0.0.1") == 0);
  CHECK(tried("127.0.0.2") == ECONNREFUSED);
  if (test::has_ipv6()) CHECK(tried("::1") == 0);
  loop.call([&] { listener.open_everywhere(); });
  CHECK(tried("127.0.0.1") == 0);
  CHECK(tried("127.0.0.2") == 0);
  if (test::has_ipv6()) CHECK(tried("::1") == 0);
  loop.call([&] { listener.open_everywhere(); });  // it is already
  CHECK(tried("127.0.0.2") == 0);
}

TEST_CASE("listener: every address is IPv4 and IPv6, and an IPv4 peer is called by its IPv4 address") {
  Loop loop;
  std::vector<std::string> peers, hosts;
  Listener listener(loop, {"", 0}, [&](std::shared_ptr<Connection> c) {
    peers.push_back(c->peer_host());
    hosts.push_back(c->local_host());
    loop.stop();
  });
  CHECK(test::attempt({"127.0.0.2", listener.port()}) == 0);
  loop.run();
  CHECK(peers == std::vector<std::string>{"127.0.0.1"});
  CHECK(hosts == std::vector<std::string>{"127.0.0.2"});
  if (test::has_ipv6()) CHECK(test::attempt({"::1", listener.port()}) == 0);
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
  Dial dial(loop, {"127.0.0.1", port}, Milliseconds(10000),
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
