// SPDX-License-Identifier: MIT
// A real server over loopback for tests.
#pragma once

#include <doctest/doctest.h>

#include "coord/server.h"
#include "fake_node.h"
#include "transcript.h"

namespace dl::test {

// A server on a thread of its own, and what it announced and wrote.
class Stage {
 public:
  explicit Stage(coord::Plan plan, std::shared_ptr<const coord::State> kept = nullptr,
                 std::shared_ptr<const coord::Files> files = nullptr)
      : log_("test", Level::error), server_(loop_, {"127.0.0.1", 0}, log_) {
    plan.version = "dl test";
    coord::ServerSettings settings;
    settings.plan = std::move(plan);
    settings.state_floats = kFakeFloats;
    settings.kept = std::move(kept);
    settings.files = std::move(files);
    settings.announce = [this](const Json& event, const coord::Coordinator&) {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
      changed_.notify_all();
    };
    settings.write = [this](const coord::State& state, coord::StateReason reason, const std::string& arithmetic) {
      const std::lock_guard lock(mutex_);
      CHECK(arithmetic == "defined");
      if (state.values != fake_state(state.step)) fail(Exit::bug, "another state was written");
      written_.emplace_back(state.step, reason);
      return "step-" + std::to_string(state.step);
    };
    thread_ = std::thread([this, settings]() mutable { ended_ = server_.run(std::move(settings)); });
  }
  ~Stage() { end(); }

  FakeOptions options() const {
    FakeOptions o;
    o.address = net::to_string(server_.address());
    return o;
  }
  std::uint16_t port() const { return server_.address().port; }

  // Waits until so many events of that name were announced; the last of them.
  Json wait(const std::string& name, std::size_t count = 1) {
    std::unique_lock lock(mutex_);
    Json last;
    const bool came = changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      std::size_t seen = 0;
      for (const Json& event : events_) {
        if (event["event"] == name && ++seen == count) {
          last = event;
          return true;
        }
      }
      return false;
    });
    REQUIRE_MESSAGE(came, "no event " << name);
    return last;
  }

  coord::Ended end() {
    if (thread_.joinable()) thread_.join();
    return ended_;
  }
  std::vector<std::pair<std::uint64_t, coord::StateReason>> written() {
    const std::lock_guard lock(mutex_);
    return written_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Json> events_;
  std::vector<std::pair<std::uint64_t, coord::StateReason>> written_;
  Log log_;
  net::Loop loop_;
  coord::Server server_;
  std::thread thread_;
  coord::Ended ended_;
};

// A plan for so many nodes, whose hearts beat quickly.
inline coord::Plan quick_plan(std::uint32_t nodes) {
  coord::Plan p = plan();
  p.nodes = nodes;
  p.heartbeat_ms = 50;
  p.dead_after_ns = 20'000'000'000;  // a loaded machine is not a dead node
  return p;
}

}  // namespace dl::test
