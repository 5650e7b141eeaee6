// SPDX-License-Identifier: MIT
// A node's copy of what is trained: parameters, optimizer slots, and where the run stands.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/workers.h"
#include "linalg/arithmetic.h"
#include "linalg/buffer.h"
#include "nn/model.h"
#include "train/cursor.h"
#include "train/run_config.h"

namespace dl::train {

inline constexpr std::size_t kMostSlots = 2;  // that any optimizer has

// Owned by the training thread; `workers` must outlive it.
//
// The cursor that leaves the node (state(), checkpoints) is always the one right after an update,
// before the epoch that may end there is closed. Closing is a pure function of that state, so whoever
// takes the state up closes the epoch again and gets the same. So all holders of one step agree.
class Replica {
 public:
  Replica(const RunConfig& config, const linalg::Arithmetic& arithmetic, Workers& workers);

  nn::Model& model() { return model_; }
  Workers& workers() { return workers_; }
  bool has_state() const { return has_state_; }
  std::uint64_t step() const { return cursor_.step; }
  const Cursor& cursor() const { return cursor_; }

  void begin_at_seed();  // step 0
  // What is here is no state of the run any more, and its mirror neither.
  void forget() { has_state_ = mirrored_ = false; }
  // The whole state as it is now is what fall_back() goes back to: a copy of its own, as long as the state.
  void keep_mirror();
  // The group of a run that is held apart broke in the middle of something: the numbers here are parts of several
  // states. What counts is the mirror; without one, nothing.
  void fall_back();
  // What the mode remembers (train/state_layout.h), by its place there. Its owner is the strategy.
  std::span<float> extra(std::size_t i) { return extras_[i].span(); }
  std::size_t extras() const { return extras_.size(); }
  std::span<float> slot(std::size_t i) { return slots_[i].span(); }
  std::size_t slots() const { return slots_.size(); }
  // Parameters, the slots, the extras; state_size() floats.
  std::uint64_t state_size() const;
  std::vector<float> state() const;
  void load(const Cursor& cursor, std::span<const float> state);  // 65 where the size is wrong

  // Applies one part of an update to a range; after the last part, advance().
  void update(const optim::StepFactors& factors, nn::ElementRange range,
              std::span<const float> gradient);
  void advance(const Cursor& next) { cursor_ = next; }

  // Whether no parameter, and nothing that the optimizer or the mode remembers, is infinite or not a number.
  bool finite();
  // --on-nan rollback only: the numbers as they are now are what roll_back() goes back to. The cursor stays.
  void keep_for_rollback();
  void roll_back();

 private:
  template <typename Visit>
  void with_kept(const Visit& visit);
  void write_state(std::vector<float>& out) const;

  RunConfig config_;
  optim::OptimizerSpec optimizer_;  // that gradients are given to
  Workers& workers_;
  nn::Model model_;
  std::vector<linalg::Buffer> slots_, extras_;
  Cursor cursor_;
  bool has_state_ = false;
  std::vector<float> mirror_;  // as state(); with --mirror only
  Cursor mirror_cursor_;
  bool mirrored_ = false;
};

}  // namespace dl::train
