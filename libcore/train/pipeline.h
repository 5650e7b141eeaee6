// SPDX-License-Identifier: MIT
// The layers lie on different nodes: each stage has a run of them, and the rows of a step pass through the
// stages shard by shard. Activations go up, gradients by them come down; weights stay where they are.
#pragma once

#include <memory>
#include <vector>

#include "comm/parts.h"
#include "comm/tree_sum.h"
#include "linalg/buffer.h"
#include "nn/stage.h"
#include "optim/schedule.h"
#include "optim/squares.h"
#include "train/batch_reader.h"
#include "train/strategy.h"
#include "train/transfers.h"

namespace dl::train {

// Group::stage_layers says how many layers each stage has. With several times as many ranks as stages there
// are columns: rank r works on stage r / columns, in column r % columns. A shard belongs to one column; its
// rows are read by the column's rank of the first stage, which alone holds data, and its targets and weights
// are told to that of the last one, which has the loss. Stages add their gradients over the columns.
//
// Every number is the chain of operations that sync computes (nn/stage.h), and gradients of shards are added
// in the canonical tree, so the parameters have the bits of sync, for any stages and columns.
//
// Between rounds a rank has the newest numbers of its own stage only; settle() fetches the others.
class Pipeline : public Strategy {
 public:
  explicit Pipeline(const Seat& seat);

  RoundTotals round(std::uint64_t limit) override;  // one step
  void settle(Whole what) override;
  // The first stage's ranks, which are made whole to judge.
  std::vector<std::uint64_t> judging_shares(const Group& group, const data::Manifest& manifest) const override;
  comm::Communicator& communicator() override { return *comm_; }

 private:
  enum class Kind : std::uint8_t { activations, gradients, targets, part, total, state };
  std::uint64_t tag(Kind kind, std::uint64_t number) const;
  std::uint32_t rank_of(std::uint32_t stage) const { return stage * columns_ + column_; }
  bool first() const { return stage_ == 0; }
  bool last() const { return stage_ + 1 == stages_; }

  void plan_step();
  void forward(const nn::Batch& batch, std::uint32_t segment);
  void backward(std::uint32_t segment);
  std::size_t target_bytes() const;  // of a row
  void write_targets(const nn::Batch& batch, std::uint32_t segment);  // to bytes_
  void read_targets(std::uint32_t segment);                           // from there
  void add_columns();
  double squares();
  void apply(const StepTotals& totals, double squared);
  std::vector<std::span<float>> state_of(std::uint32_t stage, bool whole);
  void send_state(std::uint32_t to, bool whole);
  void take_state(std::uint32_t stage, bool whole);
  optim::HeldRange held(const nn::ElementRange& range) const;

  const Seat seat_;
  const std::uint32_t stages_, columns_, stage_, column_;
  const std::vector<std::uint32_t> shards_;  // of this column
  Group speakers_;                           // whose records have which shard's loss: the last stage's
  std::vector<nn::ElementRange> ranges_;     // of each stage
  BatchReader reader_;
  nn::Stage layers_;
  std::unique_ptr<comm::Communicator> comm_;
  Transfers transfers_;
  optim::ScheduleSpec schedule_;
  // Sums over the columns.
  comm::Parts parts_;
  comm::TreeSum tree_;
  std::vector<std::uint32_t> part_sizes_;    // segments of each of this column's parts
  std::vector<linalg::Buffer> partials_;     // the full vector: this column's parts, of which its stage's range is used
  linalg::Buffer gradient_;                  // the full vector, likewise; with one column the only part
  std::vector<std::vector<float>> theirs_;   // other columns' parts of this one's slice
  // The step at hand.
  std::vector<std::uint32_t> rows_;          // of each of the column's shards
  nn::Batch targets_;                        // last stage: of one segment
  std::vector<double> losses_, weights_;     // last stage: of each segment
  std::vector<float> incoming_, outgoing_;
  Bytes record_, bytes_;
};

}  // namespace dl::train
