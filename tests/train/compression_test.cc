// SPDX-License-Identifier: MIT
// Compressed sums, with ranks as threads.
#include "train/compression.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "support/scratch.h"
#include "support/tiny_data.h"
#include "train/local_rounds.h"
#include "train/ranks.h"
#include "train/state_layout.h"

using namespace dl;
using namespace dl::test;

namespace {

// Three groups of the seven shards: 0-1, 2-3, 4-6.
const std::vector<std::vector<std::uint32_t>> kGroupMaps = {
    {0, 0, 1, 1, 0, 0, 0}, {1, 1, 0, 0, 0, 0, 0}, {2, 2, 0, 0, 1, 1, 1}};
const std::pair<const char*, const char*> kAll[] = {
    {"sync", "bf16"},  {"sync", "int8"},  {"sync", "topk=0.1"},  {"sync", "powersgd=1"},
    {"local", "bf16"}, {"local", "int8"}, {"local", "topk=0.1"}, {"local", "powersgd=1"}};

train::RunConfig compressed_config(const fs::path& directory, const char* how, const char* mode = "sync") {
  train::RunConfig config = config_for(directory, optim::Kind::momentum);
  config.mode = mode;
  config.agreement.local_steps = 3;
  if (config.mode == "local") config.agreement.outer_momentum = 0.4;
  config.agreement.compress = how;
  config.agreement.groups = 3;
  return config;
}

Setting on(const std::vector<std::uint32_t>& owner) {
  const std::uint32_t ranks = 1 + *std::max_element(owner.begin(), owner.end());
  return {.owner = owner, .threads = std::vector<unsigned>(ranks, 1), .kernels = {}};
}

}  // namespace

TEST_CASE("compression: the whole state is the same bits for any nodes and maps of groups") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  for (const auto& [mode, how] : kAll) {
    CAPTURE(mode);
    CAPTURE(how);
    const train::RunConfig config = compressed_config(dir.path(), how, mode);
    const Outcome wanted = run(config, alone(kSizes.size()))[0];
    CHECK(wanted.state.size() == train::state_floats(config));
    for (const auto& owner : kGroupMaps) {
      for (const Outcome& out : run(config, on(owner))) CHECK(same_state(out, wanted));
    }
    train::RunConfig other = config;
    other.agreement.groups = 2;
    CHECK_FALSE(std::equal(wanted.state.begin(), wanted.state.begin() + 50,
                           run(other, alone(kSizes.size()))[0].state.begin()));
  }
}

TEST_CASE("compression: paused in any round and gone on with on other nodes is never stopped") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  for (const auto& [mode, how] : kAll) {
    CAPTURE(mode);
    CAPTURE(how);
    const train::RunConfig config = compressed_config(dir.path(), how, mode);
    const Outcome wanted = run(config, alone(kSizes.size()))[0];
    for (std::uint64_t step = 1; step < wanted.cursor.step; step += 3) {
      Setting first = on(kGroupMaps[step % kGroupMaps.size()]);
      first.pause_at = step;
      const std::vector<Outcome> paused = run(config, first);
      for (const Outcome& out : paused) CHECK(same_state(out, paused[0]));  // whole on every rank
      Setting second = on(kGroupMaps[(step + 1) % kGroupMaps.size()]);
      second.from = &paused.back();
      CHECK(same_state(run(config, second)[0], wanted));
    }
  }
}

TEST_CASE("compression: with topk the optimizer leaves momentum to the groups, and nothing else does") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = compressed_config(dir.path(), "topk=0.1");
  config.optimizer.weight_decay = 0.01F;
  CHECK(train::applied_optimizer(config).momentum == 0);
  CHECK(train::applied_optimizer(config).weight_decay == doctest::Approx(0.1));
  CHECK(train::extra_vectors(config).size() == 6);
  config.agreement.compress = "int8";
  CHECK(train::applied_optimizer(config).momentum == config.optimizer.momentum);
  CHECK(train::extra_vectors(config).size() == 3);
  // When every element is sent in every step, factor masking leaves no momentum: what is left is plain SGD.
  config.agreement.compress = "topk=1";
  config.epochs = 1;
  config.optimizer.weight_decay = 0;
  config.agreement.groups = 1;
  train::RunConfig plain = config;
  plain.agreement.compress = "none";
  plain.optimizer.kind = optim::Kind::sgd;
  const std::vector<float> a = run(config, alone(kSizes.size()))[0].state, b = run(plain, alone(kSizes.size()))[0].state;
  for (std::size_t i = 0; i < b.size(); ++i) CHECK(a[i] == b[i]);
}

TEST_CASE("local: compressed to bf16, a run ends near where it ends without, if slots belong to the round there too") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = compressed_config(dir.path(), "bf16", "local");
  config.optimizer.kind = optim::Kind::sgd;  // no slots: the same definition but for the rounding
  train::RunConfig plain = config;
  plain.agreement.compress = "none";
  const std::vector<float> a = run(config, alone(kSizes.size()))[0].state, b = run(plain, alone(kSizes.size()))[0].state;
  const std::size_t parameters = config.model_spec().parameter_count();
  float farthest = 0, longest = 0;
  for (std::size_t i = 0; i < parameters; ++i) {
    farthest = std::max(farthest, std::abs(a[i] - b[i]));
    longest = std::max(longest, std::abs(b[i]));
  }
  CHECK(farthest > 0);
  CHECK(farthest < 0.002F * longest);
}

TEST_CASE("local: rounds are numbered by the steps that end them") {
  train::RunConfig config;
  config.agreement.local_steps = 4;
  config.checkpoint_every = 6;
  const train::LocalRounds rounds(config, 10);  // 4 6 | 10 | 12 | 16 18 | 20 | ...
  const std::vector<std::uint64_t> ends = {0, 4, 6, 10, 12, 16, 18, 20, 24, 28, 30, 34, 36};
  for (std::size_t i = 0; i < ends.size(); ++i) CHECK(rounds.before(ends[i]) == i);
}

TEST_CASE("compression: a scheme that the mode or the model has no use for is 64") {
  train::RunConfig config;
  config.model = "dense 64 relu";
  config.ends = {.inputs = 20, .outputs = 3};
  const auto code = [&](const char* how, const char* mode) {
    config.agreement.compress = how;
    config.mode = mode;
    try {
      train::check_compression(config);
    } catch (const Error& error) {
      return error.code();
    }
    return Exit::ok;
  };
  CHECK(code("int8", "sync") == Exit::ok);
  CHECK(code("none", "pipeline") == Exit::ok);
  CHECK(code("int8", "pipeline") == Exit::usage);
  CHECK(code("int8", "local") == Exit::ok);
  CHECK(code("topk=0.1", "async") == Exit::ok);
  CHECK(code("powersgd=2", "async") == Exit::usage);
  CHECK(code("powersgd=15", "sync") == Exit::ok);   // 15 * (64 + 20) is less than 64 * 20
  CHECK(code("powersgd=16", "sync") == Exit::usage);
}
