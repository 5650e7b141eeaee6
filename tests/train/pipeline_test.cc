// SPDX-License-Identifier: MIT
#include "train/pipeline.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "ranks.h"
#include "support/scratch.h"
#include "train/pipeline_order.h"

using namespace dl;
using test::alone;
using test::config_for;
using test::kSizes;
using test::Outcome;
using test::run;
using test::same_state;
using test::Setting;

namespace {

train::RunConfig piped(train::RunConfig config) {
  config.mode = "pipeline";
  return config;
}

// One column: all shards on rank 0.
Setting stages(std::vector<std::uint32_t> layers, std::vector<std::string> kernels = {}) {
  Setting setting = alone(kSizes.size());
  setting.threads.assign(layers.size(), 1);
  setting.stages = std::move(layers);
  setting.kernels = std::move(kernels);
  return setting;
}

Setting columns(std::vector<std::uint32_t> layers, std::vector<std::uint32_t> owner, std::size_t ranks) {
  Setting setting = stages(std::move(layers));
  setting.owner = std::move(owner);
  setting.threads.assign(ranks, 1);
  return setting;
}

}  // namespace

TEST_CASE("pipeline: parameters and slots are those of sync on one node, for any stages and columns") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  for (const optim::Kind kind : {optim::Kind::sgd, optim::Kind::momentum, optim::Kind::nesterov,
                                 optim::Kind::adam, optim::Kind::adamw}) {
    train::RunConfig config = config_for(dir.path(), kind);
    config.model = "dense 90 gelu; dense 70 tanh";  // the norm's blocks are cut by the stages
    config.optimizer.clip_norm = kind == optim::Kind::momentum ? 0.0F : 0.1F;
    config.optimizer.weight_decay = 0.01F;
    const Outcome wanted = run(config, alone(kSizes.size()))[0];
    std::vector<Setting> settings = {stages({3}), stages({1, 2}), stages({2, 1}, {"scalar", "automatic"}),
                                     stages({1, 1, 1}),
                                     columns({3}, {0, 1, 0, 1, 1, 0, 0}, 2),
                                     columns({2, 1}, {0, 0, 0, 0, 1, 1, 1}, 4),
                                     columns({1, 1, 1}, {1, 0, 1, 0, 0, 1, 2}, 9)};
    settings[1].threads = {2, 3};
    for (const Setting& setting : settings) {
      CAPTURE(setting.threads.size());
      for (const Outcome& outcome : run(piped(config), setting)) {
        CHECK(same_state(outcome, wanted));
        CHECK(outcome.summary["test_loss"] == wanted.summary["test_loss"]);
        CHECK(outcome.summary["train_loss"] == wanted.summary["train_loss"]);
      }
    }
  }
}

TEST_CASE("pipeline: regression keeps the promise too") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes, data::Task::regression);
  const train::RunConfig config = config_for(dir.path(), optim::Kind::nesterov, nn::Loss::squared_error);
  const Outcome wanted = run(config, alone(kSizes.size()))[0];
  for (const Outcome& outcome : run(piped(config), stages({1, 1, 1}))) CHECK(same_state(outcome, wanted));
}

TEST_CASE("pipeline: paused in any step and gone on with over other stages is never stopped") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  const train::RunConfig config = config_for(dir.path(), optim::Kind::adam);
  const Outcome wanted = run(config, alone(kSizes.size()))[0];
  for (const std::uint64_t at : {1U, 5U, 7U, 13U}) {
    Setting first = stages({1, 1, 1});
    first.pause_at = at;
    const std::vector<Outcome> halves = run(piped(config), first);
    for (const Outcome& half : halves) {
      CHECK(half.ending == train::Ending::paused);
      CHECK(half.cursor.step == at);
      CHECK(same_state(half, halves[0]));
    }
    Setting second = columns({1, 2}, {0, 1, 1, 0, 0, 1, 1}, 4);
    second.from = &halves[2];
    for (const Outcome& whole : run(piped(config), second)) CHECK(same_state(whole, wanted));
  }
}

TEST_CASE("pipeline: a loss that is not finite names the shard") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes, data::Task::regression);
  train::RunConfig config = config_for(dir.path(), optim::Kind::sgd, nn::Loss::squared_error);
  config.schedule.lr = 1e30;
  std::string message;
  try {
    run(piped(config), stages({2, 1}));
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(message.find("the loss of shard 0 is not finite in step") == 0);
}

TEST_CASE("pipeline: a split that does not fit the model or the group is refused") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  const train::RunConfig config = piped(config_for(dir.path(), optim::Kind::sgd));
  const auto refused = [&](const Setting& setting) {
    CHECK_THROWS_WITH(run(config, setting), doctest::Contains("no pipeline"));
  };
  refused(stages({1, 1}));
  refused(stages({3, 0}));
  refused(columns({1, 2}, {0, 0, 0, 0, 0, 0, 0}, 3));
  CHECK_THROWS_WITH(run(config, columns({1, 2}, {0, 0, 1, 0, 0, 0, 0}, 2)),
                    doctest::Contains("not of the first stage"));
}

TEST_CASE("pipeline: one forward, one backward, and few micro-batches under way") {
  for (std::uint32_t count = 0; count < 12; ++count) {
    for (std::uint32_t all = 1; all <= 4; ++all) {
      for (std::uint32_t stage = 0; stage < all; ++stage) {
        std::uint32_t forwards = 0, backwards = 0;
        for (const train::Turn& turn : train::one_forward_one_backward(stage, all, count)) {
          CHECK(turn.micro_batch == (turn.forward ? forwards : backwards));
          ++(turn.forward ? forwards : backwards);
          CHECK(backwards <= forwards);
          CHECK(forwards - backwards <= all - stage);
        }
        CHECK(forwards == count);
        CHECK(backwards == count);
      }
    }
  }
}
