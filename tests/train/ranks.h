// SPDX-License-Identifier: MIT
// Whole runs on a small data set (support/tiny_data.h), with ranks as threads.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/rng.h"
#include "comm/local.h"
#include "support/tiny_data.h"
#include "train/compression.h"
#include "train/round_record.h"
#include "train/trainer.h"

namespace dl::test {

inline train::RunConfig config_for(const fs::path& directory, optim::Kind kind,
                            nn::Loss loss = nn::Loss::softmax_cross_entropy) {
  train::RunConfig config;
  config.data = directory.string();
  config.manifest_sha256 = data::manifest_digest(directory);
  config.model = "dense 9 relu; dense 7 tanh";
  config.ends = {kTinyFeatures, loss == nn::Loss::squared_error ? 1U : 3U, loss};
  config.batch = 40;
  config.epochs = 3;
  config.optimizer.kind = kind;
  config.schedule.lr = kind == optim::Kind::adam ? 0.01 : 0.05;
  return config;
}

struct Died {};

// What a rank has at the end of a start.
struct Outcome {
  std::vector<float> state;
  train::Cursor cursor;
  train::Ending ending = train::Ending::finished;
  Json summary;
  std::vector<Json> reports;
  bool broken = false;  // the group lost a rank: the state is what the replica fell back to, empty where nothing
  unsigned saves = 0, best_saves = 0;
  std::vector<train::RoundRecord> records;  // async: what the rank told of its rounds
};

struct Setting {
  std::vector<std::uint32_t> owner;         // rank of each shard
  std::vector<unsigned> threads;            // by rank
  std::vector<std::string> kernels;         // by rank; "" is automatic
  std::uint64_t pause_at = UINT64_MAX;      // the last rank asks for a pause in this step,
  std::uint64_t pause_at_look = UINT64_MAX; // or when it has looked so often for what is wanted
  std::uint64_t spins = 0;                  // at each look, a rank is late by up to so many turns of a loop, at random
  const Outcome* from = nullptr;            // a state to go on from
  std::vector<std::uint32_t> stages = {};   // pipeline: layers of each
  std::vector<std::uint32_t> blocks = {};   // tensor: rank of each
  std::function<void(const std::vector<float>&)> saved = {};  // rank 0 hands on a state
  std::uint64_t dies_in = UINT64_MAX;       // the last rank dies in the middle of this step
  std::uint64_t dies_after = UINT64_MAX;    // or when it has applied it, before anything that follows
};

inline std::vector<Outcome> run(const train::RunConfig& config, const Setting& setting) {
  const auto ranks = static_cast<std::uint32_t>(setting.threads.size());
  std::vector<Outcome> outcomes(ranks);
  std::vector<std::string> errors(ranks);
  std::atomic<bool> aborted{false};
  std::mutex mutex;
  std::unique_ptr<comm::LocalGroup> group;
  std::vector<std::thread> threads;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        flush_denormals();
        Outcome& out = outcomes[r];
        Workers workers(setting.threads[r]);
        const std::string kernel = setting.kernels.empty() ? "automatic" : setting.kernels[r];
        const linalg::Arithmetic arithmetic = linalg::choose(kernel, config.arithmetic);
        train::Replica replica(config, arithmetic, workers);
        if (setting.from != nullptr) {
          replica.load(setting.from->cursor, setting.from->state);
        } else {
          replica.begin_at_seed();
        }
        train::TrainingData data({config.data, true, {}, {}}, config.manifest_sha256, config.hold_out);
        const train::Group mine{.generation = 1, .rank = r, .size = ranks, .owner = setting.owner,
                                .stage_layers = setting.stages, .block_owner = setting.blocks};
        data.hold(mine.shards_read());
        std::uint64_t looks = 0;
        Rng rng(5, Purpose::test, r);
        const train::Hooks hooks{
            .wanted_bits =
                [&] {
                  if (r + 1 == ranks && replica.step() + 1 >= setting.dies_in) throw Died();
                  volatile std::uint64_t left = setting.spins > 0 ? rng.next64() % setting.spins : 0;
                  while (left > 0) left = left - 1;
                  const bool pause = ++looks >= setting.pause_at_look || replica.step() + 1 >= setting.pause_at;
                  return r + 1 == ranks && pause ? coord::Signal::kPause : 0U;
                },
            .progress =
                [&](const coord::Progress& progress) {
                  if (r + 1 == ranks && progress.step >= setting.dies_after) throw Died();
                },
            .pace = {},
            .report = [&](const Json& line) { out.reports.push_back(line); },
            .save =
                [&](coord::StateReason reason) {
                  ++(reason == coord::StateReason::best ? out.best_saves : out.saves);
                  if (setting.saved) setting.saved(replica.state());
                },
            .at_work = {},
            .updates =
                [&](std::uint64_t, std::uint64_t, const Bytes& record) {
                  out.records.push_back(train::RoundRecord::decode(record, train::compressed_groups(config), "a record"));
                }};
        try {
          train::Trainer trainer(
              config, replica, data, mine,
              [&](const comm::SumPlan& plan) {
                const std::lock_guard lock(mutex);
                if (!group) group = std::make_unique<comm::LocalGroup>(plan);
                return group->rank(r);
              },
              hooks);
          out.ending = trainer.run();
          out.summary = trainer.summary();
        } catch (const comm::RoundAborted&) {
          aborted = true;  // who aborted says why
          replica.fall_back();
          out.broken = true;
          if (!replica.has_state()) return;
        }
        out.state = replica.state();
        out.cursor = replica.cursor();
      } catch (const Died&) {
        const std::lock_guard lock(mutex);
        if (group) group->abort("a rank died");
      } catch (const std::exception& e) {
        errors[r] = e.what();
        const std::lock_guard lock(mutex);
        if (group) group->abort(e.what());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& error : errors) {
    if (!error.empty()) throw Error(Exit::data, error);
  }
  const bool dies = setting.dies_in < UINT64_MAX || setting.dies_after < UINT64_MAX;
  REQUIRE(aborted == dies);
  return outcomes;
}

inline Setting alone(std::size_t shards) {
  return {.owner = std::vector<std::uint32_t>(shards, 0), .threads = {1}, .kernels = {}};
}

inline bool same_state(const Outcome& a, const Outcome& b) {
  return a.state.size() == b.state.size() &&
         std::memcmp(a.state.data(), b.state.data(), a.state.size() * sizeof(float)) == 0;
}

inline const std::vector<std::uint32_t> kSizes = {50, 33, 0, 81, 1, 64, 20};

}  // namespace dl::test
