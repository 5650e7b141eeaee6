// SPDX-License-Identifier: MIT
// A mesh whose nodes have a key, and those who come without it.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <optional>

#include "comm/mesh_hello.h"
#include "net/dial.h"
#include "small.h"
#include "support/keys.h"

using namespace dl;
using test::key_of;
using test::kLong;
using test::Problem;

namespace {

// Dials a rank with another key, or says a proper hello without one. How that ends.
std::string turned_away(net::Loop& loop, std::uint16_t port, std::shared_ptr<const net::Key> key) {
  std::promise<std::string> over;
  std::shared_ptr<net::Connection> connection;
  std::optional<net::Dial> dial;
  loop.call([&] {
    net::Dial::Events events;
    events.connected = [&](std::shared_ptr<net::Connection> made) {
      connection = std::move(made);
      net::Connection::Events heard;
      heard.message = [&](const net::Header&, ByteView) { over.set_value("it answered"); };
      heard.closed = [&](const std::string& why) { over.set_value(why); };
      connection->open(std::move(heard));
      connection->send(comm::MeshHello{"run", 5, 1, {}});
    };
    events.failed = [&](const std::string& why) { over.set_value(why); };
    dial.emplace(loop, net::Address{"127.0.0.1", port}, kLong, std::move(events), std::move(key));
  });
  const std::string how = over.get_future().get();
  loop.call([&] {
    dial.reset();
    connection.reset();
  });
  return how;
}

}  // namespace

TEST_CASE("mesh: under a key sums have the same bits, and strangers get no answer") {
  const Problem problem = test::dealt(8, 3, 5);
  Problem with_buckets = problem;
  with_buckets.buckets = {{0, 100}, {100, 300'000}};
  for (const test::Way& way : test::kWays) {
    std::mutex mutex;
    std::vector<std::string> refused;
    const net::Guard guard{.credentials = key_of(1), .refused = [&](const std::string&, const std::string& why) {
                             const std::lock_guard lock(mutex);
                             refused.push_back(why);
                           }};
    net::Loop loop;
    loop.start();
    test::Nodes nodes(3, way.transport, guard);
    CHECK(turned_away(loop, nodes.meshes[0]->port(), nullptr) == "closed by peer");
    CHECK(turned_away(loop, nodes.meshes[0]->port(), key_of(2)) == "it does not take our key");
    const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
      const auto end = nodes.meshes[rank]->connect(nodes.group(rank, 5), with_buckets.plan(), kLong);
      CHECK(end->transport() == way.name);
      for (std::uint32_t round = 0; round < 4; ++round) {
        test::whole_round(*end, with_buckets, round);
        const auto sum = end->result();
        const auto wanted = with_buckets.total(round);
        CHECK(std::equal(wanted.begin(), wanted.end(), sum.begin(), sum.end()));
      }
    });
    CHECK(thrown == std::vector<std::string>(3));
    nodes.meshes.clear();
    CHECK(refused == std::vector<std::string>{"it speaks without a key", "it has another key"});
  }
}
