// SPDX-License-Identifier: MIT
// A mode of training (dl-coord --mode): what the ranks of a group agree on, and when. The trainer
// (train/trainer.h) drives it through a run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "train/group.h"
#include "train/replica.h"
#include "train/run_config.h"
#include "train/training_data.h"

namespace dl::train {

// What a strategy works with, all of it borrowed: the same on every rank but for the replica's contents,
// the shards that `data` holds, and the rank.
struct Seat {
  const RunConfig& config;
  Replica& replica;
  TrainingData& data;
  const Group& group;
  // Meets the other ranks; to be called once.
  std::function<std::unique_ptr<comm::Communicator>(const comm::SumPlan& plan)> connect;
  // coord::Signal bits to ask the group for. Throws RoundAborted where the round is not worth its end.
  std::function<std::uint32_t()> wanted_bits;
  // For rounds of many steps: work has moved on. May be empty.
  std::function<void()> at_work;
  // Async: in which order these steps were applied (train/round_record.h); before anything else is told of
  // them. May be empty.
  std::function<void(std::uint64_t first, std::uint64_t last, const Bytes& record)> updates;
};

// Why a round was applied nowhere: a loss, or else a sum of gradients (in mode local, what came of them), was not
// finite. The first shard whose own is not; none where only their sum is.
struct Refusal {
  const char* what = "loss";
  std::optional<std::uint32_t> shard;
};

// What a round did; the same on every rank but for the times.
struct RoundTotals {
  std::uint64_t steps = 0;    // updates applied, or refused
  std::uint64_t samples = 0;  // that they used, over all ranks
  double loss = 0;            // sums over those samples
  double weight = 0;
  std::uint32_t bits = 0;     // coord::Signal: what any rank asked for
  double busy = 0, wait = 0;  // seconds of this rank: computing, and held up by others or the sums
  double fixed = 0;           // of busy: what takes as long whatever shards the rank has
  // Of every rank: seconds of computing in the round before; empty where the mode does not measure them.
  std::vector<double> busy_before = {};
  std::optional<Refusal> refusal = {};  // nothing was applied; loss and weight are 0
};

// Before what the state has to be whole: on the ranks that judge the parameters (judge), on rank 0 the whole state
// (save), on every rank the whole state (leave: the group pauses or is done, or every rank mirrors it).
enum class Whole { judge, save, leave };

// Made for one group, and over with it. Used by the training thread. The replica's cursor is the trainer's;
// the numbers are the strategy's.
class Strategy {
 public:
  virtual ~Strategy() = default;

  // Applies at least one and at most `limit` updates from the replica's step on; when it returns, all
  // ranks have applied the same ones. An update that has begun ends on every rank, or none begins.
  // Throws comm::RoundAborted when the group breaks: the replica is at the last whole round then, or, in
  // a run that is held apart (train/state_layout.h), nowhere. Where a loss or a gradient is not finite nothing is
  // applied, and a mode that cannot tell so in RoundTotals throws 65.
  virtual RoundTotals round(std::uint64_t limit) = 0;

  // To be called by all ranks at the same point, between rounds.
  virtual void settle(Whole /*what*/) {}

  // How held-out rows are dealt to the ranks (train/judge.h): as the samples of their shards, since a node that is slow,
  // or rationed, and trains little, would keep all others waiting. Who has no share lacks parameters, or has no time.
  virtual std::vector<std::uint64_t> judging_shares(const Group& group, const data::Manifest& manifest) const;

  // Between rounds: for whatever all ranks do together.
  virtual comm::Communicator& communicator() = 0;
};

// The one that config.mode names. 64 where there is none of that name.
std::unique_ptr<Strategy> make_strategy(const Seat& seat);

}  // namespace dl::train
