// SPDX-License-Identifier: MIT
#include "train/local.h"

#include <doctest/doctest.h>

#include "support/scratch.h"
#include "train/batch_reader.h"
#include "train/ranks.h"
#include "train/state_layout.h"

using namespace dl;
using namespace dl::test;

namespace {

train::RunConfig local_config(const fs::path& directory, optim::Kind kind, std::uint64_t steps, bool outer = true) {
  train::RunConfig config = config_for(directory, kind);
  config.mode = "local";
  config.agreement.local_steps = steps;
  if (outer) {
    config.agreement.outer_lr = 0.7;
    config.agreement.outer_momentum = 0.6;
  }
  return config;
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = {
      {.owner = {0, 0, 0, 0, 0, 0, 0}, .threads = {3}, .kernels = {"scalar"}},
      {.owner = {0, 0, 0, 0, 1, 1, 1}, .threads = {1, 1}, .kernels = {"automatic", "scalar"}},
      {.owner = {0, 1, 0, 1, 0, 1, 0}, .threads = {2, 1}, .kernels = {}},
      {.owner = {2, 2, 1, 0, 0, 1, 2}, .threads = {1, 2, 1}, .kernels = {"scalar", "automatic", "automatic"}},
      {.owner = {3, 3, 1, 1, 0, 0, 3}, .threads = {1, 1, 1, 1}, .kernels = {}},  // rank 2 has nothing
  };
  return all;
}

// Linear regression on the tiny data, in double and without trees: what train/local.h defines, written again.
class Reference {
 public:
  Reference(const train::RunConfig& config, const train::TrainingData& data, std::span<const float> initial)
      : config_(config), data_(data), w_(initial.begin(), initial.end()), slot_(w_.size()), outer_(w_.size()) {
    for (std::uint32_t s = 0; s < data.shard_count(); ++s) {
      readers_.emplace_back(data, std::vector{s}, config.seed, config.batch);
    }
  }

  void round(std::uint64_t first, std::uint64_t steps) {
    const std::size_t size = w_.size();
    std::vector<double> sum(size), slot_sum(size);
    double total = 0;
    for (train::BatchReader& reader : readers_) {
      std::vector<double> w = w_, slot = slot_;
      double weight = 0;
      for (std::uint64_t t = first; t < first + steps; ++t) weight += step(reader.read(t), w, slot);
      for (std::size_t i = 0; i < size; ++i) {
        sum[i] += weight * w[i];
        slot_sum[i] += weight * slot[i];
      }
      total += weight;
    }
    for (std::size_t i = 0; i < size; ++i) {
      const double delta = w_[i] - sum[i] / total;
      outer_[i] = config_.agreement.outer_momentum * outer_[i] + delta;
      w_[i] -= config_.agreement.outer_lr * (delta + config_.agreement.outer_momentum * outer_[i]);
      slot_[i] = slot_sum[i] / total;
    }
  }

  std::vector<double> state() const {
    std::vector<double> all = w_;
    all.insert(all.end(), slot_.begin(), slot_.end());
    if (config_.agreement.outer_momentum > 0) all.insert(all.end(), outer_.begin(), outer_.end());
    return all;
  }

 private:
  double step(const nn::Batch& batch, std::vector<double>& w, std::vector<double>& slot) const {
    if (batch.rows == 0) return 0;
    std::vector<double> gradient(w.size());
    for (std::uint32_t r = 0; r < batch.rows; ++r) {
      const float* x = &batch.features[std::size_t{r} * kTinyFeatures];
      double error = w[kTinyFeatures] - batch.numbers[r];
      for (std::uint32_t f = 0; f < kTinyFeatures; ++f) error += w[f] * x[f];
      for (std::uint32_t f = 0; f < kTinyFeatures; ++f) gradient[f] += error * x[f];
      gradient[kTinyFeatures] += error;
    }
    for (std::size_t i = 0; i < w.size(); ++i) {
      slot[i] = config_.optimizer.momentum * slot[i] + gradient[i] / batch.rows;
      w[i] -= config_.schedule.lr * slot[i];
    }
    return batch.rows;
  }

  const train::RunConfig& config_;
  const train::TrainingData& data_;
  std::vector<train::BatchReader> readers_;
  std::vector<double> w_, slot_, outer_;
};

}  // namespace

TEST_CASE("local: parameters, slots and outer momentum are the same bits for any nodes, threads, kernels and maps") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const optim::Kind kind : {optim::Kind::momentum, optim::Kind::adam}) {
    for (const std::uint64_t steps : {1, 3, 100}) {
      CAPTURE(steps);
      train::RunConfig config = local_config(dir.path(), kind, steps, kind == optim::Kind::momentum);
      config.optimizer.clip_norm = kind == optim::Kind::adam ? 0.5F : 0.0F;
      config.optimizer.weight_decay = 0.01F;
      config.checkpoint_every = 5;
      const Outcome wanted = run(config, alone(kSizes.size()))[0];
      CHECK(wanted.state.size() == train::state_floats(config));
      CHECK(wanted.reports.back()["train_loss"] < wanted.reports[1]["train_loss"]);  // it learns
      CHECK(wanted.cursor.samples == 3 * 249);
      for (const Setting& setting : settings()) {
        for (const Outcome& outcome : run(config, setting)) {
          CHECK(same_state(outcome, wanted));
          CHECK(outcome.cursor.samples == wanted.cursor.samples);
          CHECK(outcome.summary["test_loss"] == wanted.summary["test_loss"]);
          CHECK(outcome.summary["train_loss"] == wanted.summary["train_loss"]);
        }
      }
    }
  }
}

TEST_CASE("local: many shards add up in the tree, however they are cut into parts") {
  const Scratch dir;
  make_tiny_data(dir.path(), std::vector<std::uint32_t>(19, 21));
  const train::RunConfig config = local_config(dir.path(), optim::Kind::momentum, 4);
  const Outcome wanted = run(config, alone(19))[0];
  std::vector<std::uint32_t> every(19);
  for (std::uint32_t s = 0; s < 19; ++s) every[s] = s % 2;  // each shard a part of its own
  CHECK(same_state(run(config, {.owner = every, .threads = {1, 1}, .kernels = {}})[0], wanted));
  for (std::uint32_t cut = 1; cut < 19; cut += 3) {
    CAPTURE(cut);
    std::vector<std::uint32_t> owner(19, 0);
    std::fill(owner.begin() + cut, owner.end(), 1);
    CHECK(same_state(run(config, {.owner = owner, .threads = {1, 1}, .kernels = {}})[1], wanted));
  }
}

TEST_CASE("local: rounds are the closed form, with and without an outer step") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes, data::Task::regression);
  for (const bool outer : {false, true}) {
    train::RunConfig config = local_config(dir.path(), optim::Kind::momentum, 3, outer);
    config.model = "";
    config.ends = {kTinyFeatures, 1, nn::Loss::squared_error};
    config.epochs = 0;
    config.steps = 12;  // the epoch's 7 steps are rounds of 3, 3, 1; then 3, 2
    train::TrainingData data(dir.path(), config.manifest_sha256);
    data.hold(std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6});
    flush_denormals();
    Workers workers(1);
    train::Replica replica(config, linalg::choose("automatic", "defined"), workers);
    replica.begin_at_seed();
    Reference reference(config, data, replica.model().parameters());
    reference.round(0, 3);
    reference.round(3, 3);
    reference.round(6, 1);
    reference.round(7, 3);
    reference.round(10, 2);
    const std::vector<double> wanted = reference.state();
    const std::vector<float> state = run(config, alone(kSizes.size()))[0].state;
    REQUIRE(state.size() == wanted.size());
    for (std::size_t i = 0; i < state.size(); ++i) CHECK(state[i] == doctest::Approx(wanted[i]).epsilon(2e-5));
  }
}

// (w - w_s) rounds, and w_s before it; in sync no shard has parameters of its own. So not to the bit.
TEST_CASE("local: with sgd and one step a round, parameters are those of sync but for rounding") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = local_config(dir.path(), optim::Kind::sgd, 1, false);
  const std::vector<float> local = run(config, alone(kSizes.size()))[0].state;
  config.mode = "sync";
  const std::vector<float> sync = run(config, alone(kSizes.size()))[0].state;
  REQUIRE(local.size() == sync.size());
  for (std::size_t i = 0; i < sync.size(); ++i) CHECK(local[i] == doctest::Approx(sync[i]).epsilon(1e-4));
}

TEST_CASE("local: paused in any round and gone on with on other nodes is never stopped") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  const train::RunConfig config = local_config(dir.path(), optim::Kind::adam, 3);
  const Outcome wanted = run(config, alone(kSizes.size()))[0];
  for (std::uint64_t at = 1; at < wanted.cursor.step; ++at) {
    CAPTURE(at);
    Setting first = settings()[at % settings().size()];
    first.pause_at = at;
    const std::vector<Outcome> halves = run(config, first);
    for (const Outcome& half : halves) {
      CHECK(half.cursor.step % 7 % 3 == 0);  // between rounds, that end with the epoch too
      CHECK(same_state(half, halves[0]));
    }
    Setting second = settings()[(at + 1) % settings().size()];
    second.from = &halves[0];
    for (const Outcome& whole : run(config, second)) {
      CHECK(same_state(whole, wanted));
      CHECK(whole.cursor.samples == wanted.cursor.samples);
      CHECK(whole.summary["train_loss"] == wanted.summary["train_loss"]);
    }
  }
}

TEST_CASE("local: early stopping ends all ranks after the same round") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = local_config(dir.path(), optim::Kind::momentum, 5, false);
  config.epochs = 400;
  config.patience = 2;
  config.schedule.lr = 0.3;
  const Outcome wanted = run(config, alone(kSizes.size()))[0];
  CHECK(wanted.cursor.step < config.total_steps(249));
  for (const Outcome& outcome : run(config, settings()[3])) {
    CHECK(outcome.cursor.step == wanted.cursor.step);
    CHECK(same_state(outcome, wanted));
  }
}

TEST_CASE("local: a shard that gives nothing to a round moves nothing") {
  const Scratch one, two;
  make_tiny_data(one.path(), {40, 0, 0});
  make_tiny_data(two.path(), {40});
  const Outcome a = run(local_config(one.path(), optim::Kind::adam, 2), alone(3))[0];
  const Outcome b = run(local_config(two.path(), optim::Kind::adam, 2), alone(1))[0];
  CHECK(same_state(a, b));
}

TEST_CASE("local: a loss that is not finite names the shard, and nothing of that round is kept") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes, data::Task::regression);
  train::RunConfig config = local_config(dir.path(), optim::Kind::sgd, 4);
  config.ends = {kTinyFeatures, 1, nn::Loss::squared_error};
  config.schedule.lr = 1e30;
  std::string message;
  try {
    run(config, settings()[1]);
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(message == "the loss of shard 0 is not finite in steps 1 to 4: nothing of them is kept; "
                   "a smaller --lr or --clip may help");
}
