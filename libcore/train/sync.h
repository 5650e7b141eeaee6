// SPDX-License-Identifier: MIT
// Synchronous training: every step, the shards' gradients are added in the canonical tree over the
// whole group, and every node applies the same update.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "optim/schedule.h"
#include "train/batch_reader.h"
#include "train/compressed_sums.h"
#include "train/strategy.h"

namespace dl::train {

// With --compress the sums are those of groups of shards, compressed; what they hold back is on the rank that has the
// group, and made whole by settle().
class Sync : public Strategy {
 public:
  explicit Sync(const Seat& seat);

  RoundTotals round(std::uint64_t limit) override;  // one step
  void settle(Whole what) override;
  comm::Communicator& communicator() override { return *comm_; }

 private:
  void join();
  double wait_for_sums();
  std::optional<Refusal> apply(const StepTotals& totals);

  const Seat seat_;
  BatchReader reader_;
  std::vector<std::uint32_t> group_sizes_;  // shards of each part
  std::optional<FeedbackVectors> feedback_;
  std::unique_ptr<comm::Communicator> comm_;  // has the gradients
  std::vector<float*> partials_;
  optim::ScheduleSpec schedule_;
  std::vector<double> losses_;
  Bytes record_;
  double busy_ = std::numeric_limits<double>::quiet_NaN();  // of the step before
};

}  // namespace dl::train
