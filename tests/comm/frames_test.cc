// SPDX-License-Identifier: MIT
// A peer that is made of single frames: what ends a group, and what changes nothing.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <deque>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <optional>

#include "comm/mesh_hello.h"
#include "net/connection.h"
#include "net/dial.h"
#include "small.h"

using namespace dl;
using comm::MeshHello;
using net::Connection;
using net::Type;
using test::kLong;
using test::Problem;
using test::small;
using test::whole_round;

namespace {

constexpr std::chrono::seconds kSoon{10};  // for what does not have to wait for anything

bool in_time(const auto& future) { return future.wait_for(kSoon) == std::future_status::ready; }

class Puppet {
 public:
  Puppet(net::Loop& loop, std::uint16_t port) : loop_(loop) {
    std::promise<void> made;
    loop_.call([&] {
      dial_.emplace(loop_, net::Address{"127.0.0.1", port}, kLong,
                    net::Dial::Events{[&](std::shared_ptr<Connection> c) {
                                        connection_ = std::move(c);
                                        made.set_value();
                                      },
                                      [](const std::string&) {}});
    });
    made.get_future().get();
    loop_.call([&] {
      Connection::Events events;
      events.message = [this](const net::Header&, ByteView) { answered_.set_value(); };
      // What the other rank sends is its business.
      events.place = [this](const net::Header& header) {
        sink_.resize(header.length);
        return std::span(sink_);
      };
      events.placed = [this](const net::Header& header) {
        const std::lock_guard lock(mutex_);
        ++heard_[header.type];
        changed_.notify_all();
      };
      events.closed = [this](const std::string& why) { closed_.set_value(why); };
      connection_->open(std::move(events));
    });
  }
  ~Puppet() {
    loop_.call([&] {
      if (connection_) connection_->drop();
      connection_.reset();
      dial_.reset();
    });
  }

  void hello(const MeshHello& hello) {
    loop_.call([&] { connection_->send(hello, hello.generation); });
  }
  void answered() {
    if (!in_time(answered_future_)) FAIL("no answer to the hello");
  }
  std::string closed() { return in_time(closed_future_) ? closed_future_.get() : "still open"; }

  // Waits for so many frames of a type, in all.
  void await(Type type, std::uint64_t count) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kSoon, [&] { return heard_[type] >= count; })) FAIL("too few frames came");
  }

  struct Said {
    Type type;
    std::uint64_t sequence;
    Bytes payload;
  };
  void send(Type type, std::uint64_t sequence, std::size_t bytes, std::uint32_t generation = 1) {
    send({{type, sequence, Bytes(bytes)}}, generation);
  }
  // In one go.
  void send(const std::vector<Said>& frames, std::uint32_t generation = 1) {
    loop_.call([&] {
      for (const Said& frame : frames) {
        const ByteView all = kept_.emplace_back(frame.payload);
        connection_->send_bulk(frame.type, generation, frame.sequence, std::span(&all, 1));
      }
    });
  }
  void go() {
    loop_.call([&] { connection_->close(); });
  }

 private:
  net::Loop& loop_;
  std::optional<net::Dial> dial_;
  std::shared_ptr<Connection> connection_;
  std::promise<void> answered_;
  std::promise<std::string> closed_;
  std::future<void> answered_future_ = answered_.get_future();
  std::future<std::string> closed_future_ = closed_.get_future();
  Bytes sink_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Type, std::uint64_t> heard_;
  std::deque<Bytes> kept_;
};

// Rank 0 does `work`; the others are puppets that have said a proper hello, in order. What rank 0 threw;
// where it waits for more than the puppets play, that.
std::string against_puppets(const Problem& problem, const std::function<void(comm::Communicator&)>& work,
                            const std::function<void(std::deque<Puppet>&)>& play, const comm::TcpTuning& tuning = {},
                            std::uint64_t message_bytes = 0) {
  test::Nodes node(1);
  net::Loop loop;
  loop.start();
  std::string thrown;
  comm::MeshGroup group = node.group(0);
  group.members.resize(problem.ranks(), {"127.0.0.1", 1});
  comm::SumPlan plan = problem.plan();
  plan.message_bytes = message_bytes;
  const std::future<void> trainer = std::async(std::launch::async, [&] {
    try {
      const auto end = node.meshes[0]->connect(group, plan, kLong, tuning);
      work(*end);
    } catch (const comm::RoundAborted& e) {
      thrown = e.what();
    }
  });
  std::deque<Puppet> puppets;
  for (std::uint32_t rank = 1; rank < problem.ranks(); ++rank) {
    Puppet& puppet = puppets.emplace_back(loop, node.meshes[0]->port());
    puppet.hello({"run", 1, rank, {}});
    puppet.answered();
  }
  play(puppets);
  if (!in_time(trainer)) node.meshes[0]->abort(1, "rank 0 still waits");
  trainer.wait();
  return thrown;
}

std::string against_puppet(const Problem& problem, const std::function<void(comm::Communicator&)>& work,
                           const std::function<void(Puppet&)>& play, const comm::TcpTuning& tuning = {},
                           std::uint64_t message_bytes = 0) {
  return against_puppets(
      problem, work, [&](std::deque<Puppet>& puppets) { play(puppets.front()); }, tuning, message_bytes);
}

const std::string kPeer = "rank 1 (127.0.0.1:1): ";

}  // namespace

TEST_CASE("tcp: the rank that is lost is named") {
  const Problem problem = small(2);
  CHECK(against_puppet(
            problem, [&](comm::Communicator& end) { whole_round(end, problem, 0); },
            [](Puppet& puppet) { puppet.go(); }) == kPeer + "closed by peer");
}

TEST_CASE("tcp: strangers, stale generations and random bytes change nothing") {
  const Problem problem = small(2);
  test::Nodes nodes(2);
  net::Loop loop;
  loop.start();
  std::atomic<std::uint32_t> rounds = 0;
  std::atomic<bool> enough = false;
  std::thread intruder([&] {
    while (rounds.load() == 0) std::this_thread::yield();
    const std::uint16_t port = nodes.meshes[0]->port();
    for (const MeshHello& hello :
         {MeshHello{"run", 4, 1, {}}, MeshHello{"run", 5, 1, {}}, MeshHello{"run", 5, 0, {}},
          MeshHello{"run", 5, 7, {}}, MeshHello{"another", 5, 1, {}}}) {
      Puppet puppet(loop, port);
      puppet.hello(hello);
      CHECK(puppet.closed() == "closed by peer");
    }
    {
      Puppet ahead(loop, port);  // of a generation to come: waits, and is forgotten when it goes
      ahead.hello({"run", 9, 1, {}});
      Puppet twice(loop, port);
      twice.hello({"run", 9, 1, {}});
      twice.hello({"run", 9, 1, {}});
      CHECK(twice.closed() == "closed by peer");
      Puppet other(loop, port);
      other.send(Type::part, 0, 100);
      CHECK_FALSE(other.closed().empty());
    }
    enough = true;
  });
  const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
    const auto end = nodes.meshes[rank]->connect(nodes.group(rank, 5), problem.plan(), kLong);
    bool more = true;
    for (std::uint32_t round = 0; more; ++round) {
      whole_round(*end, problem, round);
      if (rank == 0) ++rounds;
      const auto said = static_cast<std::byte>(rank == 0 && enough);
      const std::array<std::uint32_t, 2> sizes = {1, 1};
      more = end->gather(std::span(&said, 1), sizes)[0] == std::byte{0};
    }
  });
  intruder.join();
  CHECK(thrown[0] == "");
  CHECK(thrown[1] == "");
  CHECK(rounds > 0);
}

TEST_CASE("tcp: a peer may be one round ahead, not two") {
  Problem problem = small(2);
  problem.buckets = {{0, 100}};
  const auto rounds = [&](comm::Communicator& end) {
    whole_round(end, problem, 0);
    whole_round(end, problem, 1);
    end.gather({}, std::array<std::uint32_t, 2>{0, 0});
  };
  const std::string two = against_puppet(problem, rounds, [](Puppet& puppet) {
    puppet.send(Type::record, 1, 8);
    puppet.send(Type::part, 1, 400);
    puppet.send(Type::gather, 1, 0);
    puppet.go();
  });
  CHECK(two == kPeer + "closed by peer");  // of the second round nothing came
  const auto ahead = [&](std::uint64_t last) {
    return against_puppet(
        problem, [&](comm::Communicator& end) { end.gather({}, std::array<std::uint32_t, 2>{0, 0}); },
        [&](Puppet& puppet) {
          for (std::uint64_t round = 1; round <= last; ++round) puppet.send(Type::part, round, 400);
          puppet.send(Type::gather, 1, 0);
          if (last <= 2) return;
          // A reset where the frame behind the refused one came before the end.
          const std::string how = puppet.closed();
          CHECK((how == "closed by peer" || how == "connection reset by peer"));
        });
  };
  CHECK(ahead(2) == "");
  CHECK(ahead(3) == kPeer + "a part frame out of order");
}

TEST_CASE("tcp: by doubling and the tree too, a frame comes once, in time, and as long as its piece") {
  Problem problem = small(2);
  problem.buckets = {{0, 100}};
  const auto said = [&](comm::Collective collective, const std::vector<std::pair<Type, std::uint64_t>>& frames,
                        std::size_t bytes = 400) {
    comm::TcpTuning tuning;
    tuning.collective = collective;
    return against_puppet(
        problem, [&](comm::Communicator& end) { end.gather({}, std::array<std::uint32_t, 2>{0, 0}); },
        [&](Puppet& puppet) {
          for (const auto& [type, sequence] : frames) puppet.send(type, sequence, bytes);
          puppet.send(Type::gather, 1, 0);
        },
        tuning);
  };
  const std::string out_of_order = kPeer + "a part frame out of order";
  using enum comm::Collective;
  CHECK(said(doubling, {{Type::part, 1}}) == "");  // this rank has not begun: one round ahead
  CHECK(said(doubling, {{Type::part, 1}, {Type::part, 1}}) == out_of_order);
  CHECK(said(doubling, {{Type::part, 1}, {Type::part, 2}}) == out_of_order);
  CHECK(said(doubling, {{Type::part, 2}}) == out_of_order);
  CHECK(said(doubling, {{Type::part, 0}}) == out_of_order);
  CHECK(said(doubling, {{Type::result, 1}}) == kPeer + "a result frame out of order");
  CHECK(said(doubling, {{Type::part, 1}}, 404) == kPeer + "a part frame of 404 bytes where 400 belong");
  // Two parts have tags 0 and 1, their sums 2 and 3, the total 4, a word 5. The sum is rank 1's.
  CHECK(said(tree, {{Type::part, 6 + 4}}) == out_of_order);  // a total of what this rank has not begun
  CHECK(said(tree, {{Type::part, 6 + 0}}) == out_of_order);
  CHECK(said(tree, {{Type::part, 6 + 5}}) == out_of_order);
  // Tags are of the collectives that the group has.
  CHECK(said(direct, {{Type::part, 1}}) == "");
}

TEST_CASE("tcp: frames that nobody waits for, or of another size, end the group with a reason") {
  Problem problem = small(2);
  problem.buckets = {{0, 100}, {100, 40000}};
  const auto said = [&](Type type, std::uint64_t sequence, std::size_t bytes,
                        std::uint32_t generation = 1) {
    return against_puppet(
        problem,
        [&](comm::Communicator& end) { end.gather({}, std::array<std::uint32_t, 2>{0, 0}); },
        [&](Puppet& puppet) { puppet.send(type, sequence, bytes, generation); });
  };
  // Two pieces: number 2 is the first of round 1.
  CHECK(said(Type::part, 2, 404) == kPeer + "a part frame of 404 bytes where 400 belong");
  CHECK(said(Type::part, 2, 400, 2) == kPeer + "a part frame of another generation");
  CHECK(said(Type::part, 0, 400) == kPeer + "a part frame out of order");
  CHECK(said(Type::part, 6, 400) == kPeer + "a part frame out of order");
  CHECK(said(Type::result, 3, 79808) == kPeer + "a result frame out of order");
  CHECK(said(Type::result, 2, 400) == kPeer + "a result frame out of order");
  CHECK(said(Type::record, 1, 9) == kPeer + "a record frame of 9 bytes where 8 belong");
  CHECK(said(Type::record, 2, 8) == kPeer + "a record frame out of order");
  CHECK(said(Type::gather, 2, 0) == kPeer + "a gather frame out of order");
  CHECK(said(Type::gather, 1, 5) == "rank 1 (127.0.0.1:1) gave 5 bytes where 0 belong");
}

TEST_CASE("tcp: a message is refused before memory is taken where it is too long, late, or of no plan") {
  Problem problem = small(2);
  const auto said = [&](std::uint64_t most, std::size_t bytes, std::uint32_t generation = 1) {
    std::string got;
    const std::string thrown = against_puppet(
        problem,
        [&](comm::Communicator& end) {
          while (const auto message = end.take(true)) got += fmt::format("{} bytes; ", message->payload.size());
        },
        [&](Puppet& puppet) {
          puppet.send(Type::message, 5, 10);
          puppet.send(Type::message, 6, bytes, generation);
          puppet.send(Type::message, 7, 1);
          puppet.go();
        },
        {}, most);
    return got + thrown;
  };
  CHECK(said(100, 100) == "10 bytes; 100 bytes; 1 bytes; " + kPeer + "closed by peer");
  CHECK(said(100, 101) == "10 bytes; " + kPeer + "a message frame of 101 bytes, where 100 are the most");
  CHECK(said(100, 20, 2) == "10 bytes; " + kPeer + "a message frame of another generation");
  CHECK(said(0, 0) == kPeer + "a message frame of 10 bytes, where 0 are the most");
}

TEST_CASE("tcp: a total of an empty slice, or parts for one, are refused, and no bucket is over too early") {
  Problem problem = small(3);
  problem.buckets = {{0, 10}};  // one line of floats, which rank 2 owns
  const comm::TcpTuning two_rounds{.one_round_bytes = 0};
  const auto said = [&](Type type) {
    return against_puppets(
        problem, [&](comm::Communicator& end) { whole_round(end, problem, 0); },
        [&](std::deque<Puppet>& puppets) {
          puppets[0].await(Type::record, 1);  // rank 0 has begun
          puppets[0].send(type, 1, 0);
        },
        two_rounds);
  };
  CHECK(said(Type::result) == kPeer + "a result frame out of order");
  CHECK(said(Type::part) == kPeer + "a part frame out of order");
}

TEST_CASE("tcp: while links are measured, a frame of a bucket ends the group: its place is not chosen yet") {
  Problem problem = small(2);
  problem.buckets = {{0, 100}};
  comm::TcpTuning measured;
  measured.collective = std::nullopt;
  const std::array<double, 3> costs = {5, 0, 0};  // all to all is slow: doubling is chosen
  const ByteView costs_bytes = std::as_bytes(std::span(costs));
  const auto met = [&](bool early) {
    return against_puppet(
        problem, [&](comm::Communicator& end) { CHECK(end.transport() == "tcp, 1 of 1 buckets by doubling"); },
        [&](Puppet& puppet) {
          std::uint64_t calls = 0;
          const auto gather = [&](std::size_t bytes) {
            puppet.await(Type::gather, ++calls);
            puppet.send(Type::gather, calls, bytes);
          };
          for (int i = 0; i < 6; ++i) gather(0);
          for (std::uint64_t i = 1; i <= 6; ++i) {
            puppet.await(Type::message, i);
            puppet.send(Type::message, 0, 0);
          }
          for (int i = 0; i < 4; ++i) gather(256 * 1024);
          puppet.await(Type::gather, ++calls);
          std::vector<Puppet::Said> last = {{Type::gather, calls, Bytes(costs_bytes.begin(), costs_bytes.end())}};
          if (early) last.push_back({Type::part, 1, Bytes(400)});
          puppet.send(last);
          if (early) return;
          puppet.await(Type::gather, ++calls);
          puppet.send(Type::gather, calls, 0);
        },
        measured);
  };
  CHECK(met(false) == "");
  CHECK(met(true) == kPeer + "a frame of a bucket before the collective is chosen");
}
