// SPDX-License-Identifier: MIT
#include "train/tensor.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "ranks.h"
#include "support/scratch.h"

using namespace dl;
using test::alone;
using test::config_for;
using test::kSizes;
using test::Outcome;
using test::run;
using test::same_state;
using test::Setting;

namespace {

constexpr const char* kPairs = "dense 90 gelu; dense 7 tanh; dense 12 relu";  // and the head: two pairs

train::RunConfig cut(train::RunConfig config, std::uint32_t blocks = 5) {
  config.mode = "tensor";
  config.agreement.blocks = blocks;
  return config;
}

Setting dealt(std::vector<std::uint32_t> blocks, std::size_t ranks, std::vector<std::string> kernels = {}) {
  Setting setting = alone(kSizes.size());
  setting.threads.assign(ranks, 1);
  setting.blocks = std::move(blocks);
  setting.kernels = std::move(kernels);
  return setting;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    squares += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / squares);
}

}  // namespace

TEST_CASE("tensor: parameters and slots are the same bits for any ranks, threads, kernels and maps of blocks") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  for (const optim::Kind kind : {optim::Kind::sgd, optim::Kind::momentum, optim::Kind::nesterov,
                                 optim::Kind::adam, optim::Kind::adamw}) {
    train::RunConfig config = cut(config_for(dir.path(), kind));
    config.model = kind == optim::Kind::nesterov ? "dense 5 relu; dense 30 tanh" : kPairs;  // the first layer is common
    config.optimizer.clip_norm = kind == optim::Kind::momentum ? 0.0F : 0.1F;
    config.optimizer.weight_decay = 0.01F;
    const Outcome wanted = run(config, dealt({0, 0, 0, 0, 0}, 1))[0];
    std::vector<Setting> settings = {dealt({0, 0, 0, 0, 0}, 1), dealt({0, 0, 1, 1, 1}, 2, {"scalar", "automatic"}),
                                     dealt({2, 0, 1, 0, 2}, 3), dealt({0, 1, 2, 3, 3}, 4)};
    settings[0].threads = {3};
    settings[2].threads = {2, 1, 3};
    for (const Setting& setting : settings) {
      CAPTURE(setting.threads.size());
      for (const Outcome& outcome : run(config, setting)) {
        CHECK(same_state(outcome, wanted));
        CHECK(outcome.summary["test_loss"] == wanted.summary["test_loss"]);
        CHECK(outcome.summary["train_loss"] == wanted.summary["train_loss"]);
      }
    }
  }
}

TEST_CASE("tensor: a step is that of sync, but for rounding, and no more") {
  const test::Scratch dir;
  for (const nn::Loss loss : {nn::Loss::softmax_cross_entropy, nn::Loss::squared_error}) {
    const bool classes = loss == nn::Loss::softmax_cross_entropy;
    const fs::path data = dir.path() / (classes ? "classes" : "numbers");
    fs::create_directories(data);
    test::make_tiny_data(data, kSizes, classes ? data::Task::classification : data::Task::regression);
    for (const float clip : {0.0F, 0.1F}) {
      train::RunConfig config = config_for(data, optim::Kind::momentum, loss);
      config.model = kPairs;
      config.epochs = 0;
      config.steps = 1;
      config.optimizer.clip_norm = clip;
      const Outcome sync = run(config, alone(kSizes.size()))[0];
      const Outcome tensor = run(cut(config), dealt({0, 0, 1, 1, 1}, 2))[1];
      REQUIRE(tensor.state.size() == sync.state.size());
      CHECK(distance(tensor.state, sync.state) < 1e-5);
      CHECK_FALSE(same_state(tensor, sync));  // or blocks would not be what this says they are
      // Momentum is the gradient, whatever the parameters were.
      const auto momentum = static_cast<std::ptrdiff_t>(sync.state.size() / 2);
      const std::vector<float> ours(tensor.state.begin() + momentum, tensor.state.end());
      CHECK(distance(ours, {sync.state.begin() + momentum, sync.state.end()}) < 1e-5);
    }
  }
}

TEST_CASE("tensor: paused in any step and gone on with over other nodes is never stopped") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = cut(config_for(dir.path(), optim::Kind::adam));
  config.model = kPairs;
  const Outcome wanted = run(config, dealt({0, 0, 0, 0, 0}, 1))[0];
  for (const std::uint64_t at : {1U, 5U, 7U, 13U}) {
    Setting first = dealt({0, 0, 1, 1, 2}, 3);
    first.pause_at = at;
    const std::vector<Outcome> halves = run(config, first);
    for (const Outcome& half : halves) {
      CHECK(half.ending == train::Ending::paused);
      CHECK(half.cursor.step == at);
      CHECK(same_state(half, halves[0]));
    }
    Setting second = dealt({1, 1, 0, 0, 0}, 2);
    second.from = &halves[2];
    for (const Outcome& whole : run(config, second)) CHECK(same_state(whole, wanted));
  }
}

TEST_CASE("tensor: what is saved is whole on rank 0") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = cut(config_for(dir.path(), optim::Kind::momentum));
  config.checkpoint_every = 4;
  const auto saved = [&](const Setting& setting) {
    std::vector<std::vector<float>> states;
    Setting watched = setting;
    watched.saved = [&](const std::vector<float>& state) { states.push_back(state); };
    run(config, watched);
    return states;
  };
  const auto wanted = saved(dealt({0, 0, 0, 0, 0}, 1));
  CHECK(wanted.size() > 1);
  CHECK(saved(dealt({1, 0, 1, 2, 2}, 3)) == wanted);
  Setting paused = dealt({0, 0, 0, 0, 0}, 1);
  paused.pause_at = 4;
  CHECK(run(config, paused)[0].state == wanted.at(0));  // slots too
}

TEST_CASE("tensor: other blocks give other bits, and openblas the same for any ranks") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = config_for(dir.path(), optim::Kind::sgd);
  config.model = kPairs;
  const Outcome five = run(cut(config, 5), dealt({0, 0, 0, 0, 0}, 1))[0];
  CHECK_FALSE(same_state(five, run(cut(config, 4), dealt({0, 0, 0, 0}, 1))[0]));
  config.arithmetic = "openblas";
  const Outcome wanted = run(cut(config), dealt({0, 0, 0, 0, 0}, 1))[0];
  for (const Outcome& outcome : run(cut(config), dealt({1, 1, 0, 0, 0}, 2))) CHECK(same_state(outcome, wanted));
}

TEST_CASE("tensor: a loss that is not finite names the shard") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes, data::Task::regression);
  train::RunConfig config = config_for(dir.path(), optim::Kind::sgd, nn::Loss::squared_error);
  config.schedule.lr = 1e30;
  CHECK_THROWS_WITH(run(cut(config), dealt({0, 1, 1, 1, 1}, 2)),
                    doctest::Contains("the loss of shard 0 is not finite in step"));
}

TEST_CASE("tensor: a map of blocks that does not fit the run or the group is refused") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  const train::RunConfig config = cut(config_for(dir.path(), optim::Kind::sgd));
  CHECK_THROWS_WITH(run(config, dealt({0, 0, 0, 0}, 1)), "4 of 5 blocks are dealt to 1 ranks");
  CHECK_THROWS_WITH(run(config, dealt({0, 0, 0, 0, 2}, 2)), doctest::Contains("blocks are dealt to 2 ranks"));
}
