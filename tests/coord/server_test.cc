// SPDX-License-Identifier: MIT
// The server over loopback, with fake nodes.

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "base/rng.h"
#include "stage.h"

using namespace dl;
using namespace dl::coord;
using test::FakeMesh;
using test::FakeNode;
using test::Stage;
using test::quick_plan;

namespace {

// A bare socket to the port; what is sent, and then whether the other side closed.
class Stranger {
 public:
  explicit Stranger(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  ~Stranger() { ::close(fd_); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  void say(ByteView bytes) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    CHECK(sent >= -1);  // it may have been thrown out in the middle of its word
  }
  bool thrown_out() {
    char byte = 0;
    return ::recv(fd_, &byte, 1, 0) <= 0;
  }

 private:
  int fd_;
};

}  // namespace

TEST_CASE("server: two nodes train to the end, checkpoints are written, everyone leaves with 0") {
  Stage stage(quick_plan(2));
  FakeMesh mesh;
  FakeNode a(mesh, stage.options()), b(mesh, stage.options());
  const Json done = stage.wait("done");
  CHECK(done["params_sha256"] == "digest");
  CHECK(done["steps"] == 40);
  CHECK(done["checkpoint"] == "step-40");
  CHECK(stage.end().code == 0);
  CHECK(a.join() == 0);
  CHECK(b.join() == 0);
  const std::vector<std::pair<std::uint64_t, StateReason>> wanted = {
      {10, StateReason::checkpoint}, {20, StateReason::checkpoint}, {30, StateReason::checkpoint},
      {40, StateReason::final_state}};
  CHECK(stage.written() == wanted);
}

TEST_CASE("server: a lost node is named, the survivor goes on, a new one gets the state and joins") {
  Stage stage(quick_plan(2));
  FakeMesh mesh;
  mesh.gate(15);
  FakeNode a(mesh, stage.options());
  auto b = std::make_unique<FakeNode>(mesh, stage.options());
  stage.wait("checkpoint");
  b->die();
  mesh.gate(25);
  const Json lost = stage.wait("lost");
  CHECK(lost["host"] == "fake");
  CHECK(lost["pid"] == ::getpid());
  CHECK(lost["rank"].is_number());
  CHECK_FALSE(lost["reason"].get<std::string>().empty());
  FakeNode c(mesh, stage.options());
  mesh.gate(UINT64_MAX);
  stage.wait("done");
  CHECK(stage.end().code == 0);
  CHECK(a.join() == 0);
  CHECK(c.join() == 0);
  CHECK(b->join() == static_cast<int>(Exit::again));
}

TEST_CASE("server: SIGTERM saves the step that was reached; a second run goes on from it") {
  auto saved = std::make_shared<State>();
  {
    Stage stage(quick_plan(1));
    FakeMesh mesh;
    mesh.gate(13);
    FakeNode a(mesh, stage.options());
    stage.wait("checkpoint");
    ::kill(::getpid(), SIGTERM);
    mesh.gate(UINT64_MAX);
    const Ended ended = stage.end();
    // The pause may come too late for a run this short.
    REQUIRE((ended.code == 128 + SIGTERM || ended.code == 0));
    CHECK(a.join() == 0);
    saved->step = stage.written().back().first;
    saved->values = test::fake_state(saved->step);
    saved->cursor = "{}";
  }
  Plan resumed = quick_plan(2);
  resumed.kept_step = static_cast<std::int64_t>(saved->step);
  Stage stage(resumed, saved);
  FakeMesh mesh;
  FakeNode a(mesh, stage.options()), b(mesh, stage.options());
  CHECK(stage.wait("group")["step"] == saved->step);
  stage.wait("done");
  CHECK(stage.end().code == 0);
  CHECK(a.join() == 0);
  CHECK(b.join() == 0);
}

TEST_CASE("server: a node of another version or with other data is refused with 76, the run goes on") {
  Stage stage(quick_plan(1));
  FakeMesh mesh;
  test::FakeOptions old = stage.options();
  old.version = "dl 0.0.1";
  FakeNode stale(mesh, old);
  CHECK(stale.join() == 76);
  CHECK(stale.last_word().find("'dl 0.0.1'") != std::string::npos);
  CHECK(stale.last_word().find("'dl test'") != std::string::npos);
  test::FakeOptions other = stage.options();
  other.manifest = "x";
  FakeNode astray(mesh, other);
  CHECK(astray.join() == 76);
  CHECK(astray.last_word().find("'x'") != std::string::npos);
  FakeNode good(mesh, stage.options());
  stage.wait("done");
  CHECK(stage.end().code == 0);
  CHECK(good.join() == 0);
}

TEST_CASE("server: a node that cannot read its data ends the run with its words and its code") {
  Stage stage(quick_plan(1));
  FakeMesh mesh;
  test::FakeOptions options = stage.options();
  options.refuse_with = "shard-0001.dls: its digest is wrong";
  FakeNode node(mesh, options);
  const Ended ended = stage.end();
  CHECK(ended.code == 65);
  CHECK(ended.text.find("shard-0001.dls: its digest is wrong") != std::string::npos);
  CHECK(node.join() == 65);
}

TEST_CASE("server: random bytes on the port are thrown out and harm nobody") {
  Stage stage(quick_plan(2));
  FakeMesh mesh;
  FakeNode a(mesh, stage.options());
  Rng rng(3, Purpose::test);
  for (int i = 0; i < 40; ++i) {
    Stranger stranger(stage.port());
    Bytes junk(32 + rng.below(3000));
    for (auto& byte : junk) byte = static_cast<std::byte>(rng.next());
    stranger.say(junk);
    CHECK(stranger.thrown_out());
  }
  {
    // A frame that is well made, but is not how a node begins.
    Stranger stranger(stage.port());
    net::Header header;
    header.type = net::Type::heartbeat;
    stranger.say(net::encode_frame(header, net::encode(Heartbeat{})));
    CHECK(stranger.thrown_out());
  }
  FakeNode b(mesh, stage.options());
  stage.wait("done");
  CHECK(stage.end().code == 0);
  CHECK(a.join() == 0);
  CHECK(b.join() == 0);
}

TEST_CASE("server: more than 64 connections that say nothing are not kept") {
  Stage stage(quick_plan(1));
  std::vector<std::unique_ptr<Stranger>> crowd;
  for (int i = 0; i < 64; ++i) crowd.push_back(std::make_unique<Stranger>(stage.port()));
  Stranger one_too_many(stage.port());
  CHECK(one_too_many.thrown_out());
  crowd.clear();
  FakeMesh mesh;
  FakeNode node(mesh, stage.options());
  const int code = node.join();
  // The crowd may still be counted when the node comes; then it is thrown out, and another comes.
  if (code != 0) {
    FakeNode again(mesh, stage.options());
    CHECK(again.join() == 0);
  }
  CHECK(stage.end().code == 0);
}

TEST_CASE("server: a port in use is 73") {
  net::Loop loop;
  const Log log("test", Level::error);
  Server first(loop, {"127.0.0.1", 0}, log);
  try {
    Server second(loop, first.address(), log);
    FAIL("two servers on one port");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::cannot_create);
  }
}

TEST_CASE("client: no coordinator there is 69 after --wait, and names the address") {
  FakeMesh mesh;
  test::FakeOptions options;
  {
    net::Loop loop;
    const Log log("test", Level::error);
    Server gone(loop, {"127.0.0.1", 0}, log);
    options.address = net::to_string(gone.address());
  }
  options.wait_seconds = 0.05;
  FakeNode node(mesh, options);
  CHECK(node.join() == 69);
  CHECK(node.last_word().find("no coordinator at " + options.address) != std::string::npos);
}

TEST_CASE("client: a coordinator may be silent for three of its heartbeats, and ten seconds in any case") {
  CHECK(coord::silence_limit(0) == net::Milliseconds(10'000));
  CHECK(coord::silence_limit(500) == net::Milliseconds(10'000));
  CHECK(coord::silence_limit(12'000) == net::Milliseconds(36'000));
  CHECK(coord::silence_limit(UINT32_MAX).count() == 3 * std::int64_t{UINT32_MAX});
}

TEST_CASE("client: a coordinator that dies is 69") {
  FakeMesh mesh;
  mesh.gate(5);
  auto loop = std::make_unique<net::Loop>();
  std::optional<FakeNode> node;
  {
    const Log log("test", Level::error);
    std::shared_ptr<net::Connection> only;
    net::Listener listener(*loop, {"127.0.0.1", 0}, [&](std::shared_ptr<net::Connection> made) {
      made->open({.message = [made = made.get()](const net::Header&, ByteView) { made->abort("enough"); },
                  .place = {},
                  .placed = {},
                  .closed = {}});
      only = made;
    });
    loop->start();
    test::FakeOptions options;
    options.address = net::to_string(listener.address());
    node.emplace(mesh, options);
    CHECK(node->join() == 69);
    CHECK(node->last_word().find("lost the coordinator") != std::string::npos);
    loop->call([&] { only.reset(); });
  }
}
