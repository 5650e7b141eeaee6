// SPDX-License-Identifier: MIT
// The promise of the shards, with ranks as threads.
#include "train/trainer.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "support/scratch.h"
#include "support/tiny_data.h"
#include "train/ranks.h"

using namespace dl;
using namespace dl::test;

TEST_CASE("sync: parameters and slots are the same bits for any nodes, threads, kernels and maps") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  for (const optim::Kind kind : {optim::Kind::momentum, optim::Kind::adam}) {
    train::RunConfig config = config_for(dir.path(), kind);
    config.optimizer.clip_norm = kind == optim::Kind::adam ? 0.5F : 0.0F;
    config.optimizer.weight_decay = 0.01F;
    const Outcome wanted = run(config, alone(kSizes.size()))[0];
    REQUIRE(wanted.reports.size() >= 3);
    CHECK(wanted.reports.back()["train_loss"] < wanted.reports[1]["train_loss"]);  // it learns
    const std::vector<Setting> settings = {
        {.owner = {0, 0, 0, 0, 0, 0, 0}, .threads = {3}, .kernels = {"scalar"}},
        {.owner = {0, 0, 0, 0, 1, 1, 1}, .threads = {1, 1}, .kernels = {"automatic", "scalar"}},
        {.owner = {0, 1, 0, 1, 0, 1, 0}, .threads = {2, 1}, .kernels = {}},
        {.owner = {2, 2, 1, 0, 0, 1, 2}, .threads = {1, 2, 1}, .kernels = {"scalar", "automatic", "automatic"}},
        {.owner = {3, 3, 1, 1, 0, 0, 3}, .threads = {1, 1, 1, 1}, .kernels = {}},  // rank 2 has nothing
    };
    for (const Setting& setting : settings) {
      for (const Outcome& outcome : run(config, setting)) {
        CHECK(same_state(outcome, wanted));
        CHECK(outcome.summary["test_loss"] == wanted.summary["test_loss"]);
        CHECK(outcome.summary["train_loss"] == wanted.summary["train_loss"]);
      }
    }
  }
}

TEST_CASE("sync: regression keeps the promise too") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes, data::Task::regression);
  const train::RunConfig config =
      config_for(dir.path(), optim::Kind::nesterov, nn::Loss::squared_error);
  const Outcome wanted = run(config, alone(kSizes.size()))[0];
  CHECK(wanted.summary.contains("test_rmse"));
  const Setting three{.owner = {0, 1, 2, 0, 1, 2, 0}, .threads = {1, 1, 1}, .kernels = {}};
  for (const Outcome& outcome : run(config, three)) CHECK(same_state(outcome, wanted));
}

TEST_CASE("sync: paused in any step and gone on with on other nodes is never stopped") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  const train::RunConfig config = config_for(dir.path(), optim::Kind::momentum);
  const Outcome wanted = run(config, alone(kSizes.size()))[0];
  const Setting two{.owner = {0, 0, 1, 1, 1, 0, 0}, .threads = {1, 1}, .kernels = {}};
  const std::uint64_t per_epoch = (249 + 39) / 40;
  for (const std::uint64_t at : {std::uint64_t{1}, std::uint64_t{5}, per_epoch, 2 * per_epoch - 1, 2 * per_epoch}) {
    Setting first = two;
    first.pause_at = at;
    const std::vector<Outcome> halves = run(config, first);
    for (const Outcome& half : halves) {
      CHECK(half.ending == train::Ending::paused);
      CHECK(half.cursor.step == at);
      CHECK(same_state(half, halves[0]));
    }
    Setting second = alone(kSizes.size());
    second.from = &halves[0];
    const Outcome whole = run(config, second)[0];
    CHECK(same_state(whole, wanted));
    CHECK(whole.cursor.samples == wanted.cursor.samples);
    CHECK(whole.summary["train_loss"] == wanted.summary["train_loss"]);
  }
}

TEST_CASE("sync: a complete run taken up again closes its last epoch again and is complete") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  const train::RunConfig config = config_for(dir.path(), optim::Kind::sgd);
  const Outcome wanted = run(config, alone(kSizes.size()))[0];
  Setting again = alone(kSizes.size());
  again.from = &wanted;
  const Outcome whole = run(config, again)[0];
  CHECK(whole.ending == train::Ending::finished);
  CHECK(same_state(whole, wanted));
  CHECK(whole.summary["test_accuracy"] == wanted.summary["test_accuracy"]);
  CHECK(whole.summary["train_loss"] == wanted.summary["train_loss"]);
}

TEST_CASE("sync: early stopping ends all ranks in the same step, also after a pause") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = config_for(dir.path(), optim::Kind::momentum);
  config.epochs = 400;
  config.patience = 2;
  config.schedule.lr = 0.3;
  const Outcome wanted = run(config, alone(kSizes.size()))[0];
  CHECK(wanted.cursor.step < config.total_steps(249));
  CHECK(wanted.best_saves >= 1);
  Setting two{.owner = {0, 0, 1, 1, 1, 0, 0}, .threads = {1, 1}, .kernels = {}};
  two.pause_at = wanted.cursor.step - 1;
  const std::vector<Outcome> half = run(config, two);
  two.pause_at = UINT64_MAX;
  two.from = &half[0];
  for (const Outcome& outcome : run(config, two)) {
    CHECK(outcome.cursor.step == wanted.cursor.step);
    CHECK(same_state(outcome, wanted));
  }
}

TEST_CASE("sync: a loss that is not finite names the shard, and that step leaves no trace") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes, data::Task::regression);
  train::RunConfig config = config_for(dir.path(), optim::Kind::sgd, nn::Loss::squared_error);
  config.schedule.lr = 1e30;
  const Setting two{.owner = {0, 0, 1, 1, 1, 0, 0}, .threads = {1, 1}, .kernels = {}};
  std::string message;
  try {
    run(config, two);
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(message.find("the loss of shard 0 is not finite in step") == 0);
}

TEST_CASE("sync: a shard that is held out is what the others are judged on, on any nodes") {
  const test::Scratch dir, other;
  test::make_tiny_data(dir.path(), {50, 300, 33, 64});
  train::RunConfig config = config_for(dir.path(), optim::Kind::momentum);
  config.hold_out = 1;
  const Outcome one = run(config, alone(3))[0];
  const auto two = run(config, {.owner = {0, 1, 1}, .threads = {1, 2}, .kernels = {}});
  CHECK(same_state(one, two[0]));
  CHECK(same_state(one, two[1]));
  CHECK(one.summary["test_loss"] == two[0].summary["test_loss"]);
  CHECK(one.cursor.samples == 3 * (50 + 33 + 64));

  // The same as a data set that was made so.
  fs::copy(dir.path(), other.path());
  write_file(other / "manifest.json",
             data::without_shard(data::read_manifest(dir.path()), 1).to_json().dump(1));
  const Outcome made = run(config_for(other.path(), optim::Kind::momentum), alone(3))[0];
  CHECK(same_state(one, made));
  CHECK(one.summary["test_loss"] == made.summary["test_loss"]);
}

TEST_CASE("sync: several test files are judged one after the other, whoever takes which block") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  data::Manifest manifest = data::read_manifest(dir.path());
  const auto judged = [&] {
    write_file(dir / "manifest.json", manifest.to_json().dump(1));
    const train::RunConfig config = config_for(dir.path(), optim::Kind::sgd);
    const Json one = run(config, alone(7))[0].summary;
    const Setting three{.owner = {0, 0, 1, 1, 1, 2, 2}, .threads = {1, 1, 1}, .kernels = {}};
    CHECK(run(config, three)[0].summary["test_loss"] == one["test_loss"]);
    return std::pair(one["test_loss"].get<double>(), one["test_accuracy"].get<double>());
  };
  const data::ShardEntry original = manifest.test[0];
  const auto first = judged();
  const data::ShardEntry second = test::write_tiny(dir.path(), "test-2.dls", 700, 300000, data::Task::classification);
  manifest.test = {second};
  const auto only_second = judged();
  manifest.test = {original, second};
  const auto both = judged();
  CHECK(both.first == doctest::Approx((300 * first.first + 700 * only_second.first) / 1000).epsilon(1e-12));
  CHECK(both.second == doctest::Approx((300 * first.second + 700 * only_second.second) / 1000).epsilon(1e-12));
}
