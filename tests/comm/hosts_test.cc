// SPDX-License-Identifier: MIT
// Groups of which some ranks share a host: those talk over Unix sockets, all others over TCP.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <future>
#include <optional>

#include "base/clock.h"
#include "comm/host.h"
#include "comm/mesh_hello.h"
#include "net/dial.h"
#include "net/listener.h"
#include "small.h"
#include "support/keys.h"

using namespace dl;
using comm::MeshHello;
using comm::MeshStay;
using net::Connection;
using net::Type;
using test::kLong;
using test::Nodes;
using test::Problem;
using test::small;
using test::whole_round;

namespace {

constexpr std::uint64_t kMost = std::uint64_t{1} << 20;

// What each rank of such hosts has to say about its transport.
std::vector<std::string> wanted(const std::string& hosts) {
  std::vector<std::string> all;
  for (const char own : hosts) {
    const auto near = static_cast<std::size_t>(std::ranges::count(hosts, own)) - 1;
    const std::string text = near == hosts.size() - 1 ? "unix" : near > 0 ? "unix and tcp" : "tcp";
    all.push_back(text == "unix" ? "shared memory and unix" : text);
  }
  return all;
}

std::string talk(comm::Communicator& end, std::uint64_t count) {
  const auto content = [](std::uint32_t from, std::uint64_t tag) {
    return Bytes(tag % 5 == 0 ? kMost - from : tag * 37, static_cast<std::byte>(tag + from));
  };
  for (std::uint64_t tag = 0; tag < count; ++tag) {
    const Bytes bytes = content(end.rank(), tag);
    const ByteView all = bytes;
    for (std::uint32_t to = 0; to < end.size(); ++to) end.send(to, tag, std::span(&all, 1));
  }
  std::vector<std::uint64_t> next(end.size(), 0);
  for (std::uint64_t i = 0; i < count * end.size(); ++i) {
    const auto message = end.take(true);
    if (message->tag != next.at(message->from)++) return "out of order";
    if (message->payload != content(message->from, message->tag)) return "other bytes";
  }
  return "";
}

std::size_t open_files() {
  namespace fs = std::filesystem;
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

// The answer of a rank 0 that is made of frames: invites whoever greets it to this socket.
class FalseHost {
 public:
  FalseHost(net::Loop& loop, std::string socket) : loop_(loop) {
    listener_.emplace(loop, net::Address{"127.0.0.1", 0}, [this, socket](std::shared_ptr<Connection> came) {
      connection_ = came;
      Connection::Events events;
      events.message = [this, socket](const net::Header& header, ByteView payload) {
        if (header.type == Type::mesh_stay) {
          stays_.set_value(net::decode<MeshStay>(payload).why.str());
          return;
        }
        MeshHello answer{"run", 1, 0, net::Text<32>(comm::host_identity("run"))};
        answer.socket = net::Text<48>(socket);
        connection_->send(answer, 1);
      };
      // It takes part in one round.
      events.place = [this](const net::Header& got) {
        sink_.resize(got.length);
        return std::span(sink_);
      };
      came->open(std::move(events));
    });
  }
  ~FalseHost() {
    loop_.call([&] {
      if (connection_) connection_->drop();
      connection_.reset();
      listener_.reset();
    });
  }
  std::uint16_t port() const { return listener_->port(); }
  std::string stays() { return stays_.get_future().get(); }
  void gather() {
    loop_.call([&] {
      const ByteView nothing;
      connection_->send_bulk(Type::gather, 1, 1, std::span(&nothing, 1));
    });
  }

 private:
  net::Loop& loop_;
  std::shared_ptr<Connection> connection_;
  std::promise<std::string> stays_;
  Bytes sink_;
  std::optional<net::Listener> listener_;
};

// A rank 1 that is made of frames, and says that it is on this host.
class FalseGuest {
 public:
  FalseGuest(net::Loop& loop, std::uint16_t port) : loop_(loop) {
    loop_.call([&] {
      net::Dial::Events events;
      events.connected = [this](std::shared_ptr<Connection> made) {
        connection_ = std::move(made);
        Connection::Events heard;
        heard.message = [this](const net::Header&, ByteView payload) {
          answer_.set_value(net::decode<MeshHello>(payload));
        };
        heard.place = [this](const net::Header& got) {
          sink_.resize(got.length);
          return std::span(sink_);
        };
        heard.placed = [this](const net::Header&) {
          if (++got_ == 1) first_.set_value();
        };
        heard.closed = [this](const std::string& why) { closed_.set_value(why); };
        connection_->open(std::move(heard));
        connection_->send(MeshHello{"run", 1, 1, net::Text<32>(comm::host_identity("run"))}, 1);
      };
      events.failed = [](const std::string& why) { FAIL(why); };
      dial_.emplace(loop_, net::Address{"127.0.0.1", port}, kLong, std::move(events));
    });
  }
  ~FalseGuest() {
    loop_.call([&] {
      dial_.reset();
      if (connection_) connection_->drop();
      connection_.reset();
    });
  }
  MeshHello answer() { return answer_.get_future().get(); }
  void first_of_the_group() { first_.get_future().get(); }
  std::string closed() { return closed_.get_future().get(); }
  void send(const std::function<void(Connection&)>& what) {
    loop_.call([&] { what(*connection_); });
  }

 private:
  net::Loop& loop_;
  std::optional<net::Dial> dial_;
  std::shared_ptr<Connection> connection_;
  std::promise<MeshHello> answer_;
  std::promise<void> first_;
  std::promise<std::string> closed_;
  Bytes sink_;
  int got_ = 0;
};

}  // namespace

TEST_CASE("hosts: neighbours talk over Unix sockets, with equal sums and messages in order") {
  for (const std::string hosts : {"XXY", "XYX", "XYY", "XXYY", "XYXY", "XYZ", "XX"}) {
    for (const bool secured : {false, true}) {
      CAPTURE(hosts);
      CAPTURE(secured);
      const auto ranks = static_cast<std::uint32_t>(hosts.size());
      Problem problem = test::dealt(8, ranks, 3);
      problem.buckets = {{0, 100}, {100, 200'000}};
      comm::SumPlan plan = problem.plan();
      plan.message_bytes = kMost;
      Nodes nodes = Nodes::on_hosts(hosts, {.credentials = secured ? test::key_of(1) : nullptr});
      std::vector<std::string> said(ranks), transport(ranks);
      const auto thrown = test::as_threads(ranks, [&](std::uint32_t rank) {
        const auto end = nodes.meshes[rank]->connect(nodes.group(rank), plan, kLong);
        transport[rank] = end->transport();
        flush_denormals();
        for (std::uint32_t round = 0; round < 4; ++round) {
          whole_round(*end, problem, round);
          if (!std::ranges::equal(end->result(), problem.total(round))) said[rank] = "other bits";
        }
        said[rank] += talk(*end, 12);
        end->gather({}, std::vector<std::uint32_t>(ranks, 0));
      });
      CHECK(thrown == std::vector<std::string>(ranks));
      CHECK(said == std::vector<std::string>(ranks));
      CHECK(transport == wanted(hosts));
    }
  }
}

TEST_CASE("hosts: a neighbour that vanishes ends the round everywhere within a second") {
  const Problem problem = small(3);
  Nodes nodes = Nodes::on_hosts("XXY");
  for (const std::uint32_t lost : {0U, 1U, 2U}) {
    CAPTURE(lost);
    std::atomic<std::int64_t> gone = 0;
    std::array<double, 3> after{};
    const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
      auto end = nodes.meshes[rank]->connect(nodes.group(rank, lost + 1), problem.plan(), kLong);
      whole_round(*end, problem, 0);
      if (rank == lost) {
        end->start(0);
        gone = monotonic_ns();
        return;
      }
      try {
        for (std::uint32_t round = 1; round < 3; ++round) whole_round(*end, problem, round);
      } catch (const comm::RoundAborted&) {
        after[rank] = gone.load() == 0 ? 0 : seconds_between(gone, monotonic_ns());
        throw;
      }
    });
    for (std::uint32_t rank = 0; rank < 3; ++rank) {
      CHECK((thrown[rank] == "") == (rank == lost));
      CHECK(after[rank] < 1.0);
    }
  }
}

TEST_CASE("hosts: generations come and go, aborted at any moment, and no descriptor stays") {
  const Problem problem = small(3);
  Nodes nodes = Nodes::on_hosts("XXY", {.credentials = test::key_of(1)});
  std::size_t before = 0;
  for (std::uint32_t generation = 1; generation <= 60; ++generation) {
    const bool aborted = generation % 3 == 0;
    std::promise<void> begun;
    std::thread other([&] {
      begun.get_future().get();
      if (!aborted) return;
      // Later and later: while they greet, are invited, have met. By the clock: on a busy machine a yield takes long.
      const std::int64_t at = monotonic_ns() + std::int64_t{generation} * 20'000;
      while (monotonic_ns() < at) std::this_thread::yield();
      for (const auto& mesh : nodes.meshes) mesh->abort(generation, "over");
    });
    const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
      if (rank == 0) begun.set_value();
      const auto end = nodes.meshes[rank]->connect(nodes.group(rank, generation), problem.plan(), kLong);
      CHECK(end->transport() == (rank < 2 ? "unix and tcp" : "tcp"));
      whole_round(*end, problem, 0);
    });
    other.join();
    for (const std::string& what : thrown) {
      CAPTURE(generation);
      if (!aborted) CHECK(what == "");
    }
    if (generation == 20) before = open_files();
  }
  // What was closed lingers until its peer has closed too.
  const std::int64_t begin = monotonic_ns();
  while (open_files() > before && seconds_between(begin, monotonic_ns()) < 5) std::this_thread::yield();
  CHECK(open_files() <= before);
}

TEST_CASE("hosts: who is invited to a socket that it cannot reach stays on TCP, and says why") {
  net::Loop loop;
  loop.start();
  FalseHost host(loop, "dl-nobody-listens-here");
  Nodes node(1, comm::Transport::automatic);
  comm::MeshGroup group{"run", 1, 1, {{"127.0.0.1", host.port()}, {"127.0.0.1", 1}}};
  // It has no memory to offer either, so the first gather is the end of it.
  const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
    if (rank == 0) {
      CHECK(host.stays() == "connection refused");
      host.gather();
      return;
    }
    node.meshes[0]->connect(group, small(2).plan(), kLong);
  });
  CHECK(thrown[1].find("rank 0 (127.0.0.1:") == 0);
  CHECK(thrown[1].find("gave 0 bytes where 40 belong") != std::string::npos);
}

TEST_CASE("hosts: an invited rank that stays on TCP takes part in the group") {
  net::Loop loop;
  loop.start();
  Nodes node(1, comm::Transport::automatic);
  comm::MeshGroup group = node.group(0);
  group.members.push_back({"127.0.0.1", 1});
  std::string how;
  std::thread trainer([&] {
    how = node.meshes[0]->connect(group, small(2).plan(), kLong)->transport();
  });
  {
    FalseGuest guest(loop, node.meshes[0]->port());
    const MeshHello answer = guest.answer();
    CHECK(answer.socket.str().starts_with("dl-"));
    CHECK(answer.pass().token != net::UnixPass{}.token);
    Bytes verdict(128);  // on the memory that it is offered
    std::ranges::copy(as_bytes_of(std::string_view("no memory")), verdict.begin());
    guest.send([](Connection& connection) { connection.send(MeshStay{"not from here\n"}); });
    guest.first_of_the_group();
    guest.send([&](Connection& connection) {
      const ByteView nothing, all = verdict;
      connection.send_bulk(Type::gather, 1, 1, std::span(&nothing, 1));
      connection.send_bulk(Type::gather, 1, 2, std::span(&all, 1));
      connection.flush();
    });
    trainer.join();
  }
  CHECK(how ==
        "tcp, since a Unix socket failed (rank 1: 'not from here\\x0a'), since shared memory failed "
        "(rank 1: 'no memory')");
}

TEST_CASE("hosts: an invited rank that says anything else is sent away, and may come again") {
  net::Loop loop;
  loop.start();
  Nodes node(1, comm::Transport::automatic);
  comm::MeshGroup group = node.group(0);
  group.members.push_back({"127.0.0.1", 1});
  std::string how;
  std::thread trainer([&] {
    try {
      node.meshes[0]->connect(group, small(2).plan(), net::Milliseconds(1500));
    } catch (const comm::RoundAborted& error) {
      how = error.what();
    }
  });
  net::UnixPass first;
  for (int time = 0; time < 2; ++time) {
    FalseGuest guest(loop, node.meshes[0]->port());
    const net::UnixPass pass = guest.answer().pass();
    CHECK(pass.token != first.token);
    first = pass;
    guest.send([](Connection& c) { c.send(MeshHello{"run", 1, 1, {}}); });
    CHECK(guest.closed() == "closed by peer");
  }
  trainer.join();
  CHECK(how.find("did not meet within 1.5 s; rank 1 (127.0.0.1:1): did not come") != std::string::npos);
}
