// SPDX-License-Identifier: MIT
// Where a run stands: what a checkpoint must know beside parameters and optimizer slots.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace dl::train {

struct Cursor {
  std::uint64_t step = 0;          // applied updates
  std::uint64_t samples = 0;       // used by them
  double seconds = 0;              // training time so far, over all starts; shown, never decides
  double epoch_loss = 0;           // sums over the open epoch's steps
  double epoch_weight = 0;
  double last_loss = 0;            // mean training loss of the last closed epoch
  std::optional<double> best_loss; // lowest validation loss so far, and the step it was reached at
  std::uint64_t best_step = 0;
  std::uint64_t stale_epochs = 0;  // judgements since then
  bool stopped_early = false;
  std::uint64_t refused = 0;       // steps that left no update, or whose update was taken back (--on-nan)
  std::uint64_t refused_step = 0;  // the newest of them

  // Whole numbers as integers, the rest as floating point (run_record keeps both kinds apart).
  Json to_json() const;
  static Cursor from_json(const Json& json, const std::string& what);
  bool operator==(const Cursor&) const = default;
};

}  // namespace dl::train
