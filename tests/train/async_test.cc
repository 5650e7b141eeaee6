// SPDX-License-Identifier: MIT
// Asynchronous training: the owner of a part as a pure machine, and ranks as threads.
#include "train/async.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/rng.h"
#include "support/scratch.h"
#include "train/async_plan.h"
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
  train::UpdateLog log(dir / "updates.log", "a run", 0);
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

TEST_CASE("async: parts cover the parameters, aligned, also where there are more parts than lines") {
  for (const std::uint64_t elements : {1ULL, 15ULL, 16ULL, 100ULL, 4097ULL}) {
    for (const std::uint32_t parts : {1U, 2U, 3U, 7U, 300U}) {
      std::uint64_t at = 0;
      for (std::uint32_t p = 0; p < parts; ++p) {
        const nn::ElementRange range = train::part_range(elements, parts, p);
        CHECK(range.begin == at);
        CHECK(range.begin % 16 == 0);
        at = range.end;
      }
      CHECK(at == elements);
    }
  }
}

TEST_CASE("async: one update per S gradients in any order of arrival, whatever the units' sizes") {
  const std::vector<train::Unit> units = {{{0, 4}, 0}, {{4, 6}, 1}, {{6, 7}, 2}};
  train::UpdateRule rule{{}, {}, 0.5, 7, units};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<float> begin(5, 1.0F);
    train::PartOwner owner(rule, 10, begin, {});
    Rng rng(seed, Purpose::test, 0);
    std::vector<std::uint64_t> step(units.size(), 10);
    std::uint64_t gradients = 0;
    constexpr std::uint64_t kSteps = 12;
    while (gradients < 7 * kSteps) {
      const auto u = static_cast<std::uint32_t>(rng.next64() % units.size());
      if (step[u] == 10 + kSteps) continue;
      gradients += units[u].shards.size();
      const std::uint64_t before = owner.version();
      const bool updated = owner.arrive({u, step[u]++, owner.version(), 3.0, std::vector<float>(5, 0.25F)});
      CHECK(owner.version() == 10 + gradients / 7);
      CHECK(updated == (owner.version() > before));
      if (updated) CHECK(owner.waiting() == 0);
    }
    CHECK(owner.version() == 10 + kSteps);
    for (std::uint32_t r = 0; r < 3; ++r) CHECK(owner.applied(r) == 10 + kSteps);
    CHECK(owner.applied(3) == UINT64_MAX);
  }
}

TEST_CASE("async: no order of events locks the ranks, whatever the bound and the units' sizes") {
  const std::optional<std::uint64_t> bounds[] = {0, 1, 3, 8, 20, std::nullopt};
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    const std::optional<std::uint64_t> bound = bounds[seed % 6];
    Rng rng(seed, Purpose::test, 1);
    const auto below = [&](std::uint64_t n) { return rng.next64() % n; };
    std::vector<train::Unit> units;  // rank r has unit r, the first one most of the shards now and then
    std::uint32_t shards = 0;
    for (std::uint32_t r = 0; r < 2 + below(3); ++r) {
      const auto size = static_cast<std::uint32_t>(r == 0 ? 1 + below(20) : 1 + below(2));
      units.push_back({{shards, shards + size}, r});
      shards += size;
    }
    const std::size_t ranks = units.size();
    train::PartOwner owner({{}, {}, 0, shards, units}, 0, std::vector<float>(1), {});
    const auto applied = [&] {
      std::vector<std::uint64_t> steps;
      for (std::uint32_t r = 0; r < ranks; ++r) steps.push_back(owner.applied(r));
      return steps;
    };
    constexpr std::uint64_t kSteps = 60;
    std::vector<std::vector<std::uint64_t>> seen(ranks, applied());  // by rank: what it knows
    std::vector<std::uint64_t> begun(ranks), came(ranks);
    const auto deliver = [&](std::uint32_t r) {
      owner.arrive({r, came[r]++, owner.version(), 1.0, {1.0F}});
    };
    std::uint64_t still = 0;  // turns in which nothing happened
    while (owner.version() < kSteps && still < 100) {
      const auto r = static_cast<std::uint32_t>(below(ranks));
      const std::uint64_t what = below(3);
      ++still;
      if (what == 0 && begun[r] < kSteps && train::may_begin(begun[r], r, seen[r], bound, train::most_under_way(units, r))) {
        for (const std::uint64_t steps : seen[r]) REQUIRE((!bound || begun[r] <= steps + *bound));
        ++begun[r];
        still = 0;
      } else if (what == 1 && came[r] < begun[r]) {
        deliver(r);
        still = 0;
      } else if (what == 2 && seen[r] != applied()) {
        seen[r] = applied();
        still = 0;
      }
    }
    CAPTURE(seed);
    CHECK(owner.version() == kSteps);
  }
}

TEST_CASE("async: a stale gradient counts 1 / (1 + tau), and is moved along its square with delay compensation") {
  const std::vector<train::Unit> units = {{{0, 1}, 0}, {{1, 2}, 1}};
  for (const double lambda : {0.0, 0.5}) {
    train::UpdateRule rule{{}, {.lr = 1.0}, lambda, 2, units};
    const std::vector<float> begin = {4.0F};
    train::PartOwner owner(rule, 0, begin, {});
    owner.arrive({0, 0, 0, 1.0, {2.0F}});
    owner.arrive({0, 1, 0, 1.0, {2.0F}});  // 4 - (2 + 2) / 2
    REQUIRE(owner.values()[0] == 2.0F);
    owner.arrive({1, 0, 0, 1.0, {1.0F}});  // tau 1: g = 1 + 0.5 * 1 * (2 - 4) = 0 with delay compensation
    owner.arrive({1, 1, 1, 1.0, {1.0F}});  // tau 0
    const float stale = lambda > 0 ? 0.0F : 1.0F / 2.0F;
    CHECK(owner.values()[0] == 2.0F - (stale + 1.0F) / 2.0F);
  }
}

TEST_CASE("async: a gradient that does not fit is refused with what was due") {
  train::PartOwner owner({{}, {}, 0, 2, {{{0, 1}, 0}, {{1, 2}, 1}}}, 0, std::vector<float>(3), {});
  const std::vector<float> three(3), two(2);
  CHECK_THROWS_AS(owner.arrive({2, 0, 0, 1.0, three}), Error);  // no such unit
  CHECK_THROWS_AS(owner.arrive({0, 1, 0, 1.0, three}), Error);  // a step left out
  CHECK_THROWS_AS(owner.arrive({0, 0, 1, 1.0, three}), Error);  // a version that is still to come
  CHECK_THROWS_AS(owner.arrive({0, 0, 0, 1.0, two}), Error);
  owner.arrive({0, 0, 0, 1.0, three});
  CHECK_THROWS_AS(owner.arrive({0, 0, 0, 1.0, three}), Error);  // twice
}

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
