// SPDX-License-Identifier: MIT
// Asynchronous training: the owner of a part as a pure machine, and ranks as threads.
#include "train/async.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/rng.h"
#include "comm/local.h"
#include "train/ranks.h"
#include "support/scratch.h"
#include "train/async_plan.h"
#include "train/update_log.h"


using namespace dl;

namespace {



train::RunConfig config_for(const fs::path& directory, optim::Kind kind, std::optional<std::uint64_t> staleness) {
  train::RunConfig config;
  config.data = directory.string();
  config.manifest_sha256 = data::manifest_digest(directory);
  config.model = "dense 9 relu; dense 7 tanh";
  config.ends = {test::kTinyFeatures, 3, nn::Loss::softmax_cross_entropy};
  config.batch = 40;
  config.epochs = 3;
  config.mode = "async";
  config.agreement.max_staleness = staleness;
  config.optimizer.kind = kind;
  config.schedule.lr = kind == optim::Kind::adam ? 0.01 : 0.05;
  return config;
}

struct Outcome {
  std::vector<float> state;
  train::Cursor cursor;
  train::Ending ending = train::Ending::finished;
  std::vector<train::RoundRecord> records;
};

struct Setting {
  std::vector<std::uint32_t> owner;
  std::uint32_t ranks = 1;
  std::uint64_t spins = 0;                 // at most so many turns of a loop before a step, at random
  std::uint64_t pause_at = UINT64_MAX;     // the last rank asks for a pause when it has looked up so often
  const Outcome* from = nullptr;
};

std::vector<Outcome> run(const train::RunConfig& config, const Setting& setting) {
  std::vector<Outcome> outcomes(setting.ranks);
  std::vector<std::string> errors(setting.ranks);
  std::mutex mutex;
  std::unique_ptr<comm::LocalGroup> group;
  std::vector<std::thread> threads;
  for (std::uint32_t r = 0; r < setting.ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        flush_denormals();
        Outcome& out = outcomes[r];
        Workers workers(1);
        train::Replica replica(config, linalg::choose("automatic", "defined"), workers);
        if (setting.from != nullptr) {
          replica.load(setting.from->cursor, setting.from->state);
        } else {
          replica.begin_at_seed();
        }
        train::TrainingData data(config.data, config.manifest_sha256);
        const train::Group mine{.generation = 1, .rank = r, .size = setting.ranks, .owner = setting.owner};
        data.hold(mine.shards_of(r));
        std::uint64_t looks = 0;
        Rng rng(5, Purpose::test, r);
        const train::Hooks hooks{
            .wanted_bits =
                [&] {
                  // So that the order of arrival differs.
                  volatile std::uint64_t left = setting.spins > 0 ? rng.next64() % setting.spins : 0;
                  while (left > 0) left = left - 1;
                  return r + 1 == setting.ranks && ++looks >= setting.pause_at ? coord::Signal::kPause : 0U;
                },
            .progress = [](const coord::Progress&) {},
            .pace = {},
            .report = [](const Json&) {},
            .save = [](coord::StateReason) {},
            .at_work = {},
            .updates =
                [&](std::uint64_t, std::uint64_t, const Bytes& record) {
                  out.records.push_back(train::RoundRecord::decode(record, "a record"));
                }};
        train::Trainer trainer(
            config, replica, data, mine,
            [&](const comm::SumPlan& plan) {
              const std::lock_guard lock(mutex);
              if (!group) group = std::make_unique<comm::LocalGroup>(plan);
              return group->rank(r);
            },
            hooks);
        out.ending = trainer.run();
        out.state = replica.state();
        out.cursor = replica.cursor();
      } catch (const std::exception& e) {
        const std::lock_guard lock(mutex);
        errors[r] = e.what();
        if (group) group->abort(e.what());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& error : errors) {
    if (!error.empty()) throw Error(Exit::data, error);
  }
  return outcomes;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> replayed(const train::RunConfig& config, const std::vector<train::RoundRecord>& records) {
  const test::Scratch dir;
  train::UpdateLog log(dir / "updates.log", "a run", 0);
  for (const train::RoundRecord& record : records) log.append(record.first, record.last, record.encode());
  train::RunConfig again = config;
  again.replay = (dir / "updates.log").string();
  test::Setting alone = test::alone(test::kSizes.size());
  alone.kernels = {"scalar"};
  const test::Outcome outcome = test::run(again, alone)[0];
  CHECK(outcome.cursor.samples == 3 * 249);
  return outcome.state;
}

const std::vector<Setting> kGroups = {
    {.owner = {0, 0, 0, 0, 0, 0, 0}, .ranks = 1},
    {.owner = {0, 0, 0, 0, 1, 1, 1}, .ranks = 2},
    {.owner = {2, 2, 1, 0, 0, 1, 2}, .ranks = 3, .spins = 20000},
    {.owner = {3, 3, 1, 1, 0, 0, 3}, .ranks = 4, .spins = 20000},  // rank 2 has no shard
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
  test::make_tiny_data(dir.path(), test::kSizes);
  for (const optim::Kind kind : {optim::Kind::momentum, optim::Kind::adam}) {
    train::RunConfig config = config_for(dir.path(), kind, 0);
    config.mode = "sync";
    const Outcome wanted = run(config, kGroups[0])[0];
    config.mode = "async";
    for (const Setting& setting : kGroups) {
      for (const Outcome& outcome : run(config, setting)) {
        CHECK(same_bits(outcome.state, wanted.state));
        CHECK(outcome.cursor.samples == wanted.cursor.samples);
        CHECK(outcome.cursor.epoch_loss == doctest::Approx(wanted.cursor.epoch_loss).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("async: all ranks end with the same state, every sample used once, never staler than allowed; "
          "a replay on one node has the bits") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), test::kSizes);
  for (const std::optional<std::uint64_t> staleness : {std::optional<std::uint64_t>(1), std::optional<std::uint64_t>(3),
                                                       std::optional<std::uint64_t>()}) {
    for (const Setting& setting : kGroups) {
      train::RunConfig config = config_for(dir.path(), optim::Kind::momentum, staleness);
      if (staleness) config.agreement.delay_compensation = 0.1;
      const std::vector<Outcome> outcomes = run(config, setting);
      const Outcome& first = outcomes[0];
      for (const Outcome& outcome : outcomes) {
        CHECK(same_bits(outcome.state, first.state));
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
      CHECK(same_bits(replayed(config, first.records), first.state));
    }
  }
}

TEST_CASE("async: paused anywhere and gone on with on other nodes, its whole log gives the same bits") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), test::kSizes);
  const train::RunConfig config = config_for(dir.path(), optim::Kind::adam, 2);
  for (const std::uint64_t at : {1, 2, 4, 7, 11}) {
    Setting three = kGroups[2];
    three.pause_at = at;
    const std::vector<Outcome> halves = run(config, three);
    for (const Outcome& half : halves) {
      CHECK(half.ending == train::Ending::paused);
      CHECK(half.cursor.step > 0);
      CHECK(half.cursor.step < 21);
      CHECK(same_bits(half.state, halves[0].state));
    }
    Setting two = kGroups[1];
    two.from = &halves[1];
    const Outcome whole = run(config, two)[0];
    CHECK(whole.cursor.samples == 3 * 249);
    std::vector<train::RoundRecord> records = halves[0].records;
    records.insert(records.end(), whole.records.begin(), whole.records.end());
    CHECK(same_bits(replayed(config, records), whole.state));
  }
}

TEST_CASE("async: a loss that is not finite names the shard") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), test::kSizes, data::Task::regression);
  train::RunConfig config = config_for(dir.path(), optim::Kind::sgd, 2);
  config.ends = {test::kTinyFeatures, 1, nn::Loss::squared_error};
  config.schedule.lr = 1e30;
  std::string message;
  try {
    run(config, kGroups[0]);
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(message.find("the loss of shard 0 is not finite in step") == 0);
}
