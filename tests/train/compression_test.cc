// SPDX-License-Identifier: MIT
// Compressed sums, with ranks as threads.
#include "train/compression.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/error.h"
#include "support/scratch.h"
#include "support/tiny_data.h"
#include "train/ranks.h"
#include "train/state_layout.h"

using namespace dl;
using namespace dl::test;

namespace {

// Three groups of the seven shards: 0-1, 2-3, 4-6.
const std::vector<std::vector<std::uint32_t>> kGroupMaps = {
    {0, 0, 1, 1, 0, 0, 0}, {1, 1, 0, 0, 0, 0, 0}, {2, 2, 0, 0, 1, 1, 1}};
const char* const kCompressions[] = {"bf16", "int8", "topk=0.1", "powersgd=1"};

train::RunConfig compressed_config(const fs::path& directory, const char* how) {
  train::RunConfig config = config_for(directory, optim::Kind::momentum);
  config.agreement.compress = how;
  config.agreement.groups = 3;
  return config;
}

Setting on(const std::vector<std::uint32_t>& owner) {
  const std::uint32_t ranks = 1 + *std::max_element(owner.begin(), owner.end());
  return {.owner = owner, .threads = std::vector<unsigned>(ranks, 1), .kernels = {}};
}

}  // namespace

TEST_CASE("sync: compressed, the whole state is the same bits for any nodes and maps of groups") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  for (const char* how : kCompressions) {
    CAPTURE(how);
    const train::RunConfig config = compressed_config(dir.path(), how);
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

TEST_CASE("sync: compressed, paused in any step and gone on with on other nodes is never stopped") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), kSizes);
  for (const char* how : kCompressions) {
    CAPTURE(how);
    const train::RunConfig config = compressed_config(dir.path(), how);
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
  CHECK(code("int8", "local") == Exit::usage);
  CHECK(code("powersgd=15", "sync") == Exit::ok);   // 15 * (64 + 20) is less than 64 * 20
  CHECK(code("powersgd=16", "sync") == Exit::usage);
}
