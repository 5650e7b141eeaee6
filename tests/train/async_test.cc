// SPDX-License-Identifier: MIT
// Asynchronous training, with ranks as threads.
#include "train/async.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "support/scratch.h"
#include "train/async_plan.h"
#include "train/compression.h"
#include "train/ranks.h"
#include "train/update_log.h"

using namespace dl;
using namespace dl::test;

namespace {

train::RunConfig async_config(const fs::path& directory, optim::Kind kind, std::optional<std::uint64_t> staleness) {
  train::RunConfig config = config_for(directory, kind);
  config.mode = "async";
  config.agreement.max_staleness = staleness;
  return config;
}

Outcome replayed(const train::RunConfig& config, const std::vector<train::RoundRecord>& records) {
  const test::Scratch dir;
  train::UpdateLog log(dir / "updates.log", {"a run", train::compressed_groups(config)}, 0);
  for (const train::RoundRecord& record : records) log.append(record.first, record.last, record.encode());
  train::RunConfig again = config;
  again.replay = (dir / "updates.log").string();
  Setting one = alone(kSizes.size());
  one.kernels = {"scalar"};
  const Outcome outcome = run(again, one)[0];
  CHECK(outcome.cursor.samples == 3 * 249);
  return outcome;
}

Setting on(const std::vector<std::uint32_t>& owner, unsigned ranks, std::uint64_t spins = 0) {
  return {.owner = owner, .threads = std::vector<unsigned>(ranks, 1), .kernels = {}, .spins = spins};
}

// With spins the order of arrival differs.
const std::vector<Setting> kGroups = {
    on({0, 0, 0, 0, 0, 0, 0}, 1),
    on({0, 0, 0, 0, 1, 1, 1}, 2),
    on({2, 2, 1, 0, 0, 1, 2}, 3, 20000),
    on({3, 3, 1, 1, 0, 0, 3}, 4, 20000),  // rank 2 has no shard
};

}  // namespace

TEST_CASE("async: with a staleness of 0 the bits are sync's, on any nodes") {
  const test::Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const optim::Kind kind : {optim::Kind::momentum, optim::Kind::adam}) {
    train::RunConfig config = async_config(dir.path(), kind, 0);
    config.mode = "sync";
    const Outcome wanted = run(config, kGroups[0])[0];
    config.mode = "async";
    for (const Setting& setting : kGroups) {
      for (const Outcome& outcome : run(config, setting)) {
        CHECK(same_state(outcome, wanted));
        CHECK(outcome.cursor.samples == wanted.cursor.samples);
        CHECK(outcome.cursor.epoch_loss == doctest::Approx(wanted.cursor.epoch_loss).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("async: all ranks end with the same state, every sample used once, never staler than allowed; "
          "a replay on one node has the bits") {
  const test::Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const std::optional<std::uint64_t> staleness : {std::optional<std::uint64_t>(1), std::optional<std::uint64_t>(3),
                                                       std::optional<std::uint64_t>()}) {
    for (const Setting& setting : kGroups) {
      train::RunConfig config = async_config(dir.path(), optim::Kind::momentum, staleness);
      if (staleness) config.agreement.delay_compensation = 0.1;
      const std::vector<Outcome> outcomes = run(config, setting);
      const Outcome& first = outcomes[0];
      for (const Outcome& outcome : outcomes) {
        CHECK(same_state(outcome, first));
        CHECK(outcome.cursor.samples == 3 * 249);
        CHECK(outcome.records == first.records);
      }
      std::uint64_t step = 0;
      for (const train::RoundRecord& record : first.records) {
        CHECK(record.first == step);
        step = record.last;
        // A read at version v saw v updates; v >= t - K follows where nobody is more than K steps ahead.
        for (const auto& reads : record.reads) {
          for (std::size_t i = 0; i < reads.size() && staleness; ++i) {
            CHECK(reads[i] + *staleness >= record.first + i / record.parts);
          }
        }
      }
      CHECK(step == first.cursor.step);
      CHECK(same_state(replayed(config, first.records), first));
    }
  }
}

TEST_CASE("async: paused anywhere and gone on with on other nodes, its whole log gives the same bits") {
  const test::Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  const train::RunConfig config = async_config(dir.path(), optim::Kind::adam, 2);
  for (const std::uint64_t at : {1, 2, 4, 7, 11}) {
    Setting three = kGroups[2];
    three.pause_at_look = at;
    const std::vector<Outcome> halves = run(config, three);
    for (const Outcome& half : halves) {
      CHECK(half.ending == train::Ending::paused);
      CHECK(half.cursor.step > 0);
      CHECK(half.cursor.step < 21);
      CHECK(same_state(half, halves[0]));
    }
    Setting two = kGroups[1];
    two.from = &halves[1];
    const Outcome whole = run(config, two)[0];
    CHECK(whole.cursor.samples == 3 * 249);
    std::vector<train::RoundRecord> records = halves[0].records;
    records.insert(records.end(), whole.records.begin(), whole.records.end());
    CHECK(same_state(replayed(config, records), whole));
  }
}

// Three groups of the seven shards: 0-1, 2-3, 4-6.
const std::vector<Setting> kWholeGroups = {
    on({0, 0, 0, 0, 0, 0, 0}, 1),
    on({0, 0, 1, 1, 0, 0, 0}, 2, 20000),
    on({2, 2, 0, 0, 1, 1, 1}, 3, 20000),
    on({3, 3, 0, 0, 3, 3, 3}, 4, 20000),  // two ranks have parts and no shard
};

train::RunConfig with(train::RunConfig config, const std::string& compress, float clip) {
  config.agreement.compress = compress;
  config.agreement.groups = 3;
  config.optimizer.clip_norm = clip;
  return config;
}

TEST_CASE("async: compressed or clipped, with a staleness of 0 the bits are sync's, feedback too, on any nodes") {
  const test::Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const char* how : {"none", "bf16", "int8", "topk=0.1"}) {
    for (const float clip : {0.0F, 0.05F}) {
      CAPTURE(how);
      CAPTURE(clip);
      train::RunConfig config = with(async_config(dir.path(), optim::Kind::momentum, 0), how, clip);
      config.mode = "sync";
      const Outcome wanted = run(config, kWholeGroups[0])[0];
      if (clip > 0) CHECK_FALSE(same_state(wanted, run(with(config, how, 0), kWholeGroups[0])[0]));  // it does clip
      config.mode = "async";
      for (const Setting& setting : kWholeGroups) {
        for (const Outcome& outcome : run(config, setting)) CHECK(same_state(outcome, wanted));
      }
    }
  }
}

TEST_CASE("async: compressed or clipped, a replay on one node has the bits, feedback too") {
  const test::Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const char* how : {"none", "bf16", "int8", "topk=0.1"}) {
    for (const float clip : {0.0F, 0.05F}) {
      for (const Setting& setting : kWholeGroups) {
        CAPTURE(how);
        CAPTURE(clip);
        train::RunConfig config = with(async_config(dir.path(), optim::Kind::momentum, 3), how, clip);
        config.agreement.delay_compensation = 0.1;
        const std::vector<Outcome> outcomes = run(config, setting);
        for (const Outcome& outcome : outcomes) {
          CHECK(same_state(outcome, outcomes[0]));
          CHECK(outcome.cursor.samples == 3 * 249);
          CHECK(outcome.records == outcomes[0].records);
        }
        CHECK(same_state(replayed(config, outcomes[0].records), outcomes[0]));
      }
    }
  }
}

TEST_CASE("async: compressed and clipped, paused anywhere and gone on with on other nodes, the log gives the bits; "
          "with a staleness of 0 they are those of a run that was not stopped") {
  const test::Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const std::uint64_t staleness : {0, 2}) {
    const train::RunConfig config = with(async_config(dir.path(), optim::Kind::momentum, staleness), "topk=0.1", 0.1F);
    const Outcome undisturbed = run(config, kWholeGroups[0])[0];
    for (const std::uint64_t at : {1, 3, 7, 11}) {
      Setting three = kWholeGroups[2];
      three.pause_at_look = at;
      const std::vector<Outcome> halves = run(config, three);
      for (const Outcome& half : halves) {
        CHECK(half.ending == train::Ending::paused);
        CHECK(same_state(half, halves[0]));
      }
      Setting two = kWholeGroups[1];
      two.from = &halves[1];
      const Outcome whole = run(config, two)[0];
      std::vector<train::RoundRecord> records = halves[0].records;
      records.insert(records.end(), whole.records.begin(), whole.records.end());
      CHECK(same_state(replayed(config, records), whole));
      if (staleness == 0) CHECK(same_state(whole, undisturbed));
    }
  }
}

TEST_CASE("async: a loss that is not finite names the shard") {
  const test::Scratch dir;
  make_tiny_data(dir.path(), kSizes, data::Task::regression);
  train::RunConfig config = async_config(dir.path(), optim::Kind::sgd, 2);
  config.ends = {kTinyFeatures, 1, nn::Loss::squared_error};
  config.schedule.lr = 1e30;
  std::string message;
  try {
    run(config, kGroups[0]);
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(message.find("the loss of shard 0 is not finite in step") == 0);
}
