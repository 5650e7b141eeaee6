// SPDX-License-Identifier: MIT
// Synchronous training: every step, the shards' gradients are added in the canonical tree over the
// whole group, and every node applies the same update.
#pragma once

#include <limits>
#include <memory>
#include <vector>

#include "optim/schedule.h"
#include "train/batch_reader.h"
#include "train/strategy.h"

namespace dl::train {

class Sync : public Strategy {
 public:
  explicit Sync(const Seat& seat);

  RoundTotals round(std::uint64_t limit) override;  // one step
  comm::Communicator& communicator() override { return *comm_; }

 private:
  double apply(const StepTotals& totals);

  const Seat seat_;
  BatchReader reader_;
  const std::vector<std::uint32_t> group_sizes_;
  std::unique_ptr<comm::Communicator> comm_;  // has the gradients
  std::vector<float*> partials_;
  optim::ScheduleSpec schedule_;
  std::vector<double> losses_;
  Bytes record_;
  double busy_ = std::numeric_limits<double>::quiet_NaN();  // of the step before
};

}  // namespace dl::train
