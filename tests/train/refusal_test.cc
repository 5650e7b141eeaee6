// SPDX-License-Identifier: MIT
// --on-nan: what a step that is not finite leads to, on any ranks.
#include <algorithm>
#include <cmath>

#include "optim/optimizer.h"
#include "ranks.h"
#include "support/scratch.h"

using namespace dl;
using test::Outcome;
using test::Setting;

namespace {

// Shard 3 has rows so large that one of them is still a gradient, and two in one step are none.
void make_data_with_a_bad_shard(const fs::path& directory) {
  test::make_tiny_data(directory, test::kSizes);
  data::ShardShape shape;
  shape.rows = 14;
  shape.features = test::kTinyFeatures;
  shape.classes = 3;
  data::ShardWriter writer(directory / "shard-0003.dls", shape);
  for (std::uint32_t i = 0; i < shape.rows; ++i) {
    float* const row = writer.row();
    std::fill_n(row, test::kTinyFeatures, 0.5F);
    if (i % 3 == 0) row[1] = 2.5e38F;
    writer.end_row(1U);
  }
  data::Manifest manifest = data::read_manifest(directory);
  manifest.shards[3] = writer.commit();
  write_file(directory / "manifest.json", manifest.to_json().dump(1));
}

train::RunConfig config_of(const fs::path& directory, const std::string& on_nan, float clip) {
  train::RunConfig config = test::config_for(directory, optim::Kind::momentum);
  config.model = "";
  config.batch = 30;
  config.epochs = 4;
  config.checkpoint_every = 3;
  config.on_nan = on_nan;
  config.optimizer.clip_norm = clip;
  return config;
}

std::string error_of(const train::RunConfig& config, const Setting& setting) {
  try {
    test::run(config, setting);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

std::vector<std::uint64_t> refused_steps(const Outcome& outcome) {
  std::vector<std::uint64_t> steps;
  for (const Json& line : outcome.reports) {
    if (line["event"] == "step_refused") steps.push_back(line["step"].get<std::uint64_t>());
  }
  return steps;
}

const std::vector<Setting> kSettings = {
    test::alone(7), {.owner = {0, 0, 1, 1, 1, 0, 0}, .threads = {1, 2}, .kernels = {}},
    {.owner = {2, 2, 1, 0, 1, 0, 2}, .threads = {1, 1, 1}, .kernels = {"scalar", "automatic", "automatic"}}};

Outcome at_step(const train::RunConfig& config, std::uint64_t step) {
  Setting setting = test::alone(7);
  setting.pause_at = step;
  return test::run(config, setting)[0];
}

bool same_numbers(const Outcome& a, const Outcome& b, std::size_t floats) {
  return std::memcmp(a.state.data(), b.state.data(), floats * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("finite: an infinite value and one that is no number are found at every place") {
  for (const std::size_t size : {1, 7, 64, 1000}) {
    std::vector<float> values(size, -3e38F);
    CHECK(optim::all_finite(values));
    for (std::size_t i = 0; i < size; ++i) {
      for (const float bad : {INFINITY, -INFINITY, NAN, -NAN}) {
        values[i] = bad;
        CHECK_FALSE(optim::all_finite(values));
      }
      values[i] = 0;
    }
  }
  CHECK(optim::all_finite({}));
}

TEST_CASE("on-nan: a gradient that is not finite where all losses are ends the run in that step and names the shard") {
  const test::Scratch dir;
  make_data_with_a_bad_shard(dir.path());
  for (const float clip : {0.0F, 1.0F}) {
    const train::RunConfig config = config_of(dir.path(), "stop", clip);
    const std::string alone = error_of(config, kSettings[0]);
    CHECK(alone.find(" of shard 3 is not finite in step ") != std::string::npos);
    if (clip > 0) CHECK(alone.find("the gradient") == 0);
    for (const Setting& setting : kSettings) CHECK(error_of(config, setting) == alone);
  }
}

TEST_CASE("async: a gradient that is not finite where all losses are ends the run and names the shard, on any ranks") {
  const test::Scratch dir;
  make_data_with_a_bad_shard(dir.path());
  train::RunConfig config = config_of(dir.path(), "stop", 1);  // clipped, so that no update makes a loss infinite
  config.mode = "async";
  for (const char* how : {"none", "bf16"}) {
    config.agreement.compress = how;
    config.agreement.groups = 2;  // shards 0 to 2, and 3 to 6
    for (std::vector<std::uint32_t> owner : {std::vector<std::uint32_t>(7, 0), {0, 0, 0, 1, 1, 1, 1}}) {
      config.agreement.max_staleness = 0;
      const Setting setting{.owner = owner, .threads = std::vector<unsigned>(1 + owner[6], 1), .kernels = {}};
      CHECK(error_of(config, setting).find("the gradient of shard 3 is not finite in step ") == 0);
      config.agreement.max_staleness = 2;
      CHECK(error_of(config, setting).find(" of shard 3 is not finite in step ") != std::string::npos);
    }
  }
}

TEST_CASE("on-nan skip: the step leaves no trace but its samples, with the same bits on any ranks") {
  const test::Scratch dir;
  make_data_with_a_bad_shard(dir.path());
  for (const float clip : {0.0F, 1.0F}) {
    const train::RunConfig config = config_of(dir.path(), "skip", clip);
    const Outcome wanted = test::run(config, kSettings[0])[0];
    const std::vector<std::uint64_t> refused = refused_steps(wanted);
    REQUIRE(refused.size() > 1);
    CHECK(wanted.cursor.refused == refused.size());
    CHECK(wanted.summary["steps_refused"] == refused.size());
    CHECK(refused.size() < wanted.cursor.step);
    CHECK(wanted.cursor.samples == 4 * (50 + 33 + 0 + 14 + 1 + 64 + 20));
    CHECK(optim::all_finite(wanted.state));
    for (const Setting& setting : kSettings) {
      for (const Outcome& outcome : test::run(config, setting)) {
        CHECK(test::same_state(outcome, wanted));
        CHECK(outcome.cursor.refused == wanted.cursor.refused);
      }
    }
    const Outcome before = at_step(config, refused[1] - 1), after = at_step(config, refused[1]);
    CHECK(test::same_state(before, after));
    CHECK(before.cursor.step + 1 == after.cursor.step);
    CHECK(before.cursor.samples < after.cursor.samples);
    CHECK(std::isfinite(wanted.summary["train_loss"].get<double>()));
  }
}

TEST_CASE("on-nan rollback: back to the newest checkpoint that was due, and on behind the step, also over a pause") {
  const test::Scratch dir;
  make_data_with_a_bad_shard(dir.path());
  const train::RunConfig config = config_of(dir.path(), "rollback", 0);
  const Outcome wanted = test::run(config, kSettings[0])[0];
  const std::vector<std::uint64_t> refused = refused_steps(wanted);
  REQUIRE(refused.size() > 1);
  CHECK(wanted.cursor.refused >= refused.size());
  CHECK(optim::all_finite(wanted.state));
  const std::size_t floats = wanted.state.size() / 2;  // parameters and momentum; behind them what is kept of both
  for (const std::uint64_t step : refused) {
    const std::uint64_t kept = (step - 1) / 3 * 3;
    const Outcome after = at_step(config, step);
    if (kept > 0) CHECK(same_numbers(after, at_step(config, kept), floats));
  }
  for (const Setting& setting : kSettings) {
    for (const Outcome& outcome : test::run(config, setting)) CHECK(test::same_state(outcome, wanted));
    Setting second = setting;
    const Outcome half = at_step(config, refused[0] - 1);
    second.from = &half;
    CHECK(test::same_state(test::run(config, second)[0], wanted));
  }
}

TEST_CASE("on-nan: a rate that is too large is taken back by rollback only") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), test::kSizes, data::Task::regression);
  train::RunConfig config = test::config_for(dir.path(), optim::Kind::sgd, nn::Loss::squared_error);
  config.schedule.lr = 1e30;
  config.on_nan = "rollback";
  const Outcome wanted = test::run(config, kSettings[0])[0];
  CHECK(wanted.ending == train::Ending::finished);
  CHECK(wanted.cursor.refused > 1);
  CHECK(optim::all_finite(wanted.state));
  CHECK(test::same_state(test::run(config, kSettings[1])[1], wanted));

  config.schedule.lr = 3e38;
  config.optimizer.weight_decay = 1000;
  for (const char* on_nan : {"stop", "skip"}) {
    config.on_nan = on_nan;
    config.checkpoint_every = 1;  // nothing that is not finite gets so far
    CHECK(error_of(config, kSettings[1]).find("after step 1 the parameters, or what the optimizer remembers, are not finite") == 0);
  }
}

TEST_CASE("on-nan in local: a round that is not finite is left out whole, with the same bits on any ranks") {
  const test::Scratch dir;
  make_data_with_a_bad_shard(dir.path());
  for (const char* on_nan : {"skip", "rollback"}) {
    train::RunConfig config = config_of(dir.path(), on_nan, 0);
    config.mode = "local";
    config.agreement.local_steps = 2;
    config.agreement.outer_momentum = 0.5;
    const Outcome wanted = test::run(config, kSettings[0])[0];
    CHECK(wanted.cursor.refused > 0);
    CHECK(wanted.cursor.refused <= wanted.cursor.step);
    CHECK(optim::all_finite(wanted.state));
    for (const Setting& setting : kSettings) {
      for (const Outcome& outcome : test::run(config, setting)) CHECK(test::same_state(outcome, wanted));
    }
  }
  train::RunConfig config = config_of(dir.path(), "stop", 0);
  config.mode = "local";
  const std::string alone = error_of(config, kSettings[0]);
  CHECK(alone.find(" of shard 3 is not finite in steps ") != std::string::npos);
  CHECK(error_of(config, kSettings[2]) == alone);
}
