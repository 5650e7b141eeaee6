// SPDX-License-Identifier: MIT
// A node without a neural network: the real client, and a scripted training whose state at step s is
// known beforehand. Ranks agree through a table in memory instead of a mesh.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "coord/client.h"
#include "net/loop.h"

namespace dl::test {

inline constexpr std::uint64_t kFakeFloats = 600'000;  // more than two chunks

std::vector<float> fake_state(std::uint64_t step);

// Where the ranks of a generation meet after each step.
class FakeMesh {
 public:
  // All ranks have come to the end of `step`; the bits that any of them brought. nullopt: aborted,
  // or the caller is dead.
  std::optional<std::uint32_t> meet(std::uint32_t generation, std::uint32_t ranks,
                                    std::uint64_t step, std::uint32_t bits,
                                    const std::atomic<bool>& dead);
  void abort_before(std::uint32_t generation);  // everything older has ended
  // Nobody gets beyond this step until it is moved on.
  void gate(std::uint64_t step);
  void wake();

 private:
  struct Round {
    std::uint32_t came = 0;
    std::uint32_t bits = 0;
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, Round> rounds_;
  std::uint32_t oldest_ = 0;
  std::uint64_t gate_ = UINT64_MAX;
};

struct FakeOptions {
  std::string address;
  std::uint64_t last_step = 40;
  std::uint64_t checkpoint_every = 10;
  std::string version = "dl test";
  std::string manifest = "m";
  double wait_seconds = 10;
  std::string refuse_with;  // instead of Ready: a Refuse 65 with this text
};

class FakeNode {
 public:
  FakeNode(FakeMesh& mesh, FakeOptions options);
  ~FakeNode();
  // The connection breaks, without a word.
  void die();
  // Waits for its end; the code that a dl-node would exit with.
  int join();
  const std::string& last_word() const { return last_word_; }

 private:
  int live();
  std::optional<int> take(coord::Incoming item);
  void train(const coord::Start& start);
  void say_done(const coord::Start& start);
  void send_state(coord::StateReason reason);

  FakeMesh& mesh_;
  FakeOptions options_;
  std::atomic<std::uint64_t> progress_{0};
  std::atomic<bool> dead_{false};
  std::int64_t step_ = -1;
  std::vector<float> state_;
  std::optional<coord::Incoming> stashed_;
  std::string last_word_;
  net::Loop loop_;
  std::unique_ptr<coord::Client> client_;
  std::thread thread_;
  int code_ = -1;
};

}  // namespace dl::test
