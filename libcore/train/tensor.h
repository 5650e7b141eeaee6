// SPDX-License-Identifier: MIT
// Tensor parallelism: the hidden units between pairs of dense layers lie on different nodes, in fixed blocks
// (nn/blocking.h). Every node computes with all rows, each with its own blocks; what they add up in a step are
// the outputs of each pair, and the gradients by the inputs of a pair that does not begin the model.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "linalg/buffer.h"
#include "nn/blocked_model.h"
#include "optim/schedule.h"
#include "train/batch_reader.h"
#include "train/strategy.h"
#include "train/transfers.h"

namespace dl::train {

// Group::block_owner says whose each block is. Losses and gradients are as nn/blocked_model.h defines them: a
// function of the number of blocks, so any ranks end with the same bits; they differ from those of sync by the
// rounding of the sums over hidden units. All ranks have all outputs, and so the losses and their gradients.
//
// The clipping norm is that of the blocked order: squares of the common elements (optim::sum_of_squares), then
// those of each block, added in double in the order of the blocks.
//
// Between rounds a rank has the newest numbers of what is common and of its own blocks, in memory of their
// own; settle() brings them, and the others' blocks, into the replica.
class Tensor : public Strategy {
 public:
  explicit Tensor(const Seat& seat);

  RoundTotals round(std::uint64_t limit) override;  // one step
  void settle(Whole what) override;
  std::vector<std::uint64_t> judging_shares(const Group& group, const data::Manifest& manifest) const override;
  comm::Communicator& communicator() override { return *comm_; }

 private:
  double squares();
  void apply(const StepTotals& totals, double squared);
  std::uint64_t tag(std::uint32_t block) const;
  std::span<float> replica_vector(std::size_t v);  // parameters, then slots
  std::span<float> own_vector(std::size_t v);
  void send_blocks(std::uint32_t to, std::size_t vectors);
  void take_blocks(std::uint32_t from, std::size_t vectors);

  const Seat seat_;
  const nn::Blocking blocking_;
  const std::vector<std::uint32_t> own_;      // blocks
  const Group speakers_;                      // of records without losses
  // By parity of the step: the rows of the next step are read while a sum of this one travels.
  std::array<BatchReader, 2> readers_;
  nn::BlockedModel model_;
  std::vector<linalg::Buffer> slots_;         // as the model's parameters
  std::vector<std::uint64_t> sums_;           // where each sum of a step begins
  std::unique_ptr<comm::Communicator> comm_;  // has the sums
  Transfers transfers_;
  std::vector<float*> parts_;
  optim::ScheduleSpec schedule_;
  std::vector<double> losses_;                // of each shard
  std::vector<float> incoming_;
  Bytes record_;
};

}  // namespace dl::train
