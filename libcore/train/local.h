// SPDX-License-Identifier: MIT
// Local steps: in a round, every shard goes on alone from one common state; then the shards' states are
// averaged by the weight of their samples. Plain averaging is local SGD (Stich 2019) and FedAvg (McMahan et
// al. 2017, algorithm 1, with shards as clients); with an outer Nesterov step it is DiLoCo (Douillard et al.
// 2023, algorithm 1).
//
// A round has H = --local-steps steps, or fewer up to the next border (the end of an epoch, a checkpoint's
// step). With w the parameters and v any slot at its beginning, and every operation rounded to float32:
//   alone    shard s begins at w_s = w, v_s = v. In each step in which its rows weigh anything, the sum of their
//            gradients, divided by their weight (and clipped by its own norm), is applied as optim/optimizer.h
//            says, with the learning rate and number of that step of the run.
//   sums     n_s: the weight of the rows that s gave to the round; N: the sum of all n_s, in double. In the tree:
//              D = the sum of  n_s * (w - w_s)       V = the sum of  n_s * v_s
//   average  with r = 1/N, computed in double:  d = r * D;  v = r * V
//   outer    without momentum:  w = fma(-lr, d, w)           (lr = --outer-lr; 1: w becomes the average)
//            with momentum:     m = fma(mu, m, d);  w = fma(-lr, fma(mu, m, d), w)    (Nesterov; mu = --outer-momentum)
// A round in which nothing weighs anything leaves all as it was.
//
// Parameters are added as differences because these are small, and so lose less by rounding. Slots are
// added as values: Adam's second moment, a difference away from zero, could become negative.
//
// With --compress only D is sent, compressed per group of shards (comm/compressed.h), and slots belong to the
// round: every shard begins it with slots of zero, and its steps count from 1 where the optimizer's formula
// has their number. So that what a group holds back means the same in a round of another length, D and N are
// then divided by the number of rows that all shards gave to the round.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "linalg/buffer.h"
#include "optim/schedule.h"
#include "train/batch_reader.h"
#include "train/compressed_sums.h"
#include "train/strategy.h"

namespace dl::train {

// The round is the unit that is agreed on and done again: the replica stays as it was until all sums are here.
// Shards are computed one after the other, so a rank holds, beside the sums of its parts, one shard's state and
// as many vectors of sums as the tree is deep, whatever the number of its shards.
class Local : public Strategy {
 public:
  explicit Local(const Seat& seat);

  RoundTotals round(std::uint64_t limit) override;
  void settle(Whole what) override;
  comm::Communicator& communicator() override { return *comm_; }

 private:
  void join();
  void compute(std::uint64_t steps);
  void go_alone(std::size_t shard, std::uint64_t steps);
  void step_alone(std::size_t shard, std::uint64_t h);
  std::span<float> level(std::size_t part, std::size_t depth);
  void write_leaf(float weight, std::span<float> to);
  void add_up(std::size_t part, std::size_t depth);
  double wait_for_sums();
  void apply(double weight);
  std::optional<std::uint32_t> first_bad_shard(std::uint64_t steps);

  const Seat seat_;
  const std::uint64_t size_;                       // of a vector
  std::vector<std::uint32_t> part_sizes_;          // shards of each part
  std::size_t sent_ = 1;                           // vectors that are added up: parameters, and slots
  std::optional<FeedbackVectors> feedback_;        // where sums are compressed
  std::vector<BatchReader> readers_;               // of each shard
  std::unique_ptr<comm::Communicator> comm_;
  optim::ScheduleSpec schedule_;
  const std::vector<std::uint32_t> lone_{1};       // how backprop groups the segments of one shard
  std::vector<linalg::Buffer> state_;              // of the shard at hand: parameters, slots
  linalg::Buffer gradient_;
  std::vector<linalg::Buffer> levels_;             // sums that wait for their right neighbour
  std::vector<double> losses_, weights_;           // of each shard, over the round
  double unit_ = 1;                                // weight that D and N are divided by
  std::uint32_t bits_ = 0;
  std::uint64_t buckets_ = 0;
  double busy_ = std::numeric_limits<double>::quiet_NaN();  // of the round before
  Bytes record_;
};

}  // namespace dl::train
