// SPDX-License-Identifier: MIT
// A rank dies in a run that is held apart, and the others go back to their mirrors (--mirror).
#include <doctest/doctest.h>

#include <algorithm>

#include "ranks.h"
#include "support/scratch.h"
#include "train/state_layout.h"
#include "train/update_log.h"

using namespace dl;
using namespace dl::test;

namespace {

constexpr std::uint64_t kEvery = 4;

// A run that is held apart, with groups that lose their last rank and one that goes on.
struct Case {
  const char* name;
  train::RunConfig config;
  Setting alone, breaking, after;
};

Setting on(std::vector<std::uint32_t> owner, std::size_t ranks) {
  return {.owner = std::move(owner), .threads = std::vector<unsigned>(ranks, 1), .kernels = {}};
}

std::vector<Case> cases(const fs::path& data) {
  const std::vector<std::uint32_t> all_on_first(kSizes.size(), 0);
  const std::vector<std::uint32_t> grouped = {0, 0, 1, 1, 2, 2, 2}, regrouped = {1, 1, 0, 0, 0, 0, 0};
  std::vector<Case> out;
  const auto add = [&](const char* name, optim::Kind kind) -> Case& {
    out.push_back({name, config_for(data, kind), test::alone(kSizes.size()), {}, {}});
    out.back().config.mirror_every = kEvery;
    out.back().config.mode = std::string(name).substr(0, std::string(name).find(' '));
    return out.back();
  };
  Case& pipeline = add("pipeline", optim::Kind::adam);
  pipeline.alone.stages = {3};
  pipeline.breaking = on(all_on_first, 3);
  pipeline.breaking.stages = {1, 1, 1};
  pipeline.after = on({0, 1, 1, 0, 0, 1, 1}, 4);
  pipeline.after.stages = {1, 2};
  Case& tensor = add("tensor", optim::Kind::momentum);
  tensor.config.agreement.blocks = 5;
  tensor.alone.blocks = {0, 0, 0, 0, 0};
  tensor.breaking = on(all_on_first, 3);
  tensor.breaking.blocks = {0, 2, 1, 1, 2};
  tensor.after = on(all_on_first, 2);
  tensor.after.blocks = {1, 1, 0, 0, 0};
  for (const char* name : {"sync topk=0.1", "local int8"}) {
    Case& compressed = add(name, optim::Kind::momentum);
    compressed.config.agreement.compress = std::string(name).substr(std::string(name).find(' ') + 1);
    compressed.config.agreement.groups = 3;
    compressed.config.agreement.local_steps = 3;
    compressed.breaking = on(grouped, 3);
    compressed.after = on(regrouped, 2);
  }
  return out;
}

}  // namespace

TEST_CASE("mirror: a rank dies in any step, and the others have the state of at most so many steps before") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const Case& c : cases(dir.path())) {
    CAPTURE(c.name);
    REQUIRE(train::held_apart(c.config));
    train::RunConfig plain = c.config;
    plain.mirror_every = 0;
    const Outcome wanted = run(plain, c.alone)[0];
    const std::uint64_t round = c.config.mode == "local" ? c.config.agreement.local_steps : 1;
    for (const std::uint64_t step : {1U, 3U, 6U, 11U, 12U, 19U}) {
      CAPTURE(step);
      Setting breaking = c.breaking;
      breaking.dies_in = step;
      std::vector<Outcome> left = run(c.config, breaking);
      left.pop_back();  // the dead one
      for (const Outcome& out : left) {
        REQUIRE(out.broken);
        REQUIRE(out.state.size() == train::state_floats(c.config));
        const std::uint64_t at = out.cursor.step;
        CHECK(at < step + round - 1);  // the round that it dies in begins there at the latest
        CHECK(step <= at + kEvery + round);
        if (round == 1) CHECK(at % kEvery == 0);
        if (at > 0) {  // it is the run's own state of that step, slots and all
          Setting paused = c.alone;
          paused.pause_at = at - round + 1;
          const Outcome then = run(plain, paused)[0];
          CHECK(then.cursor.step == at);
          CHECK(same_state(out, then));
        }
        Setting after = c.after;
        after.from = &out;
        for (const Outcome& end : run(c.config, after)) CHECK(same_state(end, wanted));
      }
    }
  }
}

TEST_CASE("mirror: a rank dies before its part of a mirror is with the others, who keep the mirror before") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const Case& c : cases(dir.path())) {
    if (c.config.mode == "local") continue;  // its rounds end elsewhere
    CAPTURE(c.name);
    for (const std::uint64_t step : {kEvery, 3 * kEvery}) {
      Setting breaking = c.breaking;
      breaking.dies_after = step;
      std::vector<Outcome> left = run(c.config, breaking);
      left.pop_back();
      for (const Outcome& out : left) CHECK(out.cursor.step == step - kEvery);
    }
  }
}

TEST_CASE("mirror: undisturbed, they change no bit, and no checkpoint") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (const Case& c : cases(dir.path())) {
    CAPTURE(c.name);
    const auto outcome = [&](std::uint64_t every) {
      train::RunConfig config = c.config;
      config.mirror_every = every;
      config.checkpoint_every = 6;
      std::vector<std::vector<float>> saved;
      Setting setting = c.breaking;
      setting.saved = [&](const std::vector<float>& state) { saved.push_back(state); };
      saved.push_back(run(config, setting)[0].state);
      return saved;
    };
    const auto without = outcome(0);
    CHECK(without.size() > 3);
    for (const std::uint64_t every : {1U, 3U, 4U}) CHECK(outcome(every) == without);
  }
}

TEST_CASE("mirror: without one a rank that has lost another has nothing") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  for (Case& c : cases(dir.path())) {
    c.config.mirror_every = 0;
    Setting breaking = c.breaking;
    breaking.dies_in = 6;
    std::vector<Outcome> left = run(c.config, breaking);
    left.pop_back();
    for (const Outcome& out : left) CHECK(out.state.empty());
  }
}

TEST_CASE("mirror: async goes on from the mirrored step, and its log, cut there, gives the same bits") {
  const Scratch dir;
  make_tiny_data(dir.path(), kSizes);
  train::RunConfig config = config_for(dir.path(), optim::Kind::momentum);
  config.mode = "async";
  config.mirror_every = kEvery;
  for (const std::optional<std::uint64_t> staleness : {std::optional<std::uint64_t>(0), std::optional<std::uint64_t>(2)}) {
    config.agreement.max_staleness = staleness;
    const Outcome sync = [&] {
      train::RunConfig plain = config;
      plain.mode = "sync";
      return run(plain, alone(kSizes.size()))[0];
    }();
    for (const std::uint64_t step : {2U, 7U, 13U}) {
      Setting breaking = on({0, 0, 1, 1, 2, 2, 2}, 3);
      breaking.dies_in = step;  // or in the round that this step is in
      std::vector<Outcome> left = run(config, breaking);
      left.pop_back();
      for (const Outcome& out : left) {
        REQUIRE(out.broken);
        REQUIRE(out.state.size() == train::state_floats(config));
        CHECK(out.cursor.step % kEvery == 0);
        CHECK(out.cursor.step + kEvery >= step - 1);
        // What this rank told before reaches its mirror, and a record ends there.
        std::vector<train::RoundRecord> records = out.records;
        const auto behind = std::ranges::find_if(records, [&](const auto& r) { return r.first >= out.cursor.step; });
        records.erase(behind, records.end());
        REQUIRE((records.empty() ? 0 : records.back().last) == out.cursor.step);
        Setting after = on({1, 1, 1, 0, 0, 1, 0}, 2);
        after.from = &out;
        const std::vector<Outcome> ends = run(config, after);
        CHECK(same_state(ends[0], ends[1]));
        records.insert(records.end(), ends[0].records.begin(), ends[0].records.end());
        const Scratch log_dir;
        train::UpdateLog log(log_dir / "updates.log", {"a run", train::compressed_groups(config)}, 0);
        for (const train::RoundRecord& record : records) log.append(record.first, record.last, record.encode());
        train::RunConfig again = config;
        again.mirror_every = 0;
        again.replay = (log_dir / "updates.log").string();
        const Outcome replayed = run(again, alone(kSizes.size()))[0];
        CHECK(same_state(ends[0], replayed));
        if (staleness == 0U) CHECK(same_state(ends[0], sync));
      }
    }
  }
}
