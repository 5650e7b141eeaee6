// SPDX-License-Identifier: MIT
// An asynchronous run once more, by its log (RunConfig::replay): on one node, with the same bits.
//
// A round of the log is a round here. Its gradients are computed when the versions are there that they were
// computed at, and updates applied in the order of the log; nothing else is known of the nodes that there were.
// Holds, of each version of a part that is still to be read, the values.
#pragma once

#include <memory>

#include "train/strategy.h"
#include "train/update_log.h"

namespace dl::train {

class Replay : public Strategy {
 public:
  // The group has one rank. 65 or 66 where the log is not as it must be.
  explicit Replay(const Seat& seat);

  // 65 where the log ends before the step that the run is replayed to, contradicts itself, or belongs to other
  // data.
  RoundTotals round(std::uint64_t limit) override;
  comm::Communicator& communicator() override { return *comm_; }

 private:
  const Seat seat_;
  UpdateReader log_;
  std::unique_ptr<comm::Communicator> comm_;
};

}  // namespace dl::train
