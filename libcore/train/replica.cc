// SPDX-License-Identifier: MIT
#include "train/replica.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "train/compression.h"
#include "train/ranges.h"
#include "train/state_layout.h"

namespace dl::train {

Replica::Replica(const RunConfig& config, const linalg::Arithmetic& arithmetic, Workers& workers)
    : config_(config),
      optimizer_(applied_optimizer(config)),
      workers_(workers),
      model_(config.model_spec(), arithmetic, workers) {
  for (std::size_t slot = 0; slot < optim::slot_names(config.optimizer.kind).size(); ++slot) {
    slots_.emplace_back(model_.parameters().size());
  }
  for (const StateVector& extra : extra_vectors(config)) extras_.emplace_back(extra.floats);
}

void Replica::begin_at_seed() {
  model_.initialise(config_.seed);
  for (auto& slot : slots_) std::ranges::fill(slot.span(), 0.0F);
  for (auto& extra : extras_) std::ranges::fill(extra.span(), 0.0F);
  cursor_ = Cursor{};
  has_state_ = true;
  if (config_.on_nan == "rollback") keep_for_rollback();
}

bool Replica::finite() {
  bool finite = all_finite(workers_, model_.parameters());
  for (const auto* vectors : {&slots_, &extras_}) {
    for (const linalg::Buffer& vector : *vectors) finite = finite && all_finite(workers_, vector.span());
  }
  return finite;
}

// Each vector of the state beside its place in the last one.
template <typename Visit>
void Replica::with_kept(const Visit& visit) {
  float* kept = extras_.back().data();
  const auto one = [&](std::span<float> vector) {
    visit(vector, std::span(kept, vector.size()));
    kept += vector.size();
  };
  one(model_.parameters());
  for (linalg::Buffer& slot : slots_) one(slot.span());
  for (std::size_t i = 0; i + 1 < extras_.size(); ++i) one(extras_[i].span());
}

void Replica::keep_for_rollback() {
  with_kept([](std::span<float> now, std::span<float> kept) { std::ranges::copy(now, kept.begin()); });
}

void Replica::roll_back() {
  with_kept([](std::span<float> now, std::span<float> kept) { std::ranges::copy(kept, now.begin()); });
}

std::uint64_t Replica::state_size() const { return state_floats(config_); }

std::vector<float> Replica::state() const {
  std::vector<float> out;
  write_state(out);
  return out;
}

void Replica::write_state(std::vector<float>& out) const {
  out.clear();
  out.reserve(state_size());
  const auto parameters = model_.parameters();
  out.insert(out.end(), parameters.begin(), parameters.end());
  for (const auto* vectors : {&slots_, &extras_}) {
    for (const linalg::Buffer& vector : *vectors) {
      const std::span<const float> values = vector.span();
      out.insert(out.end(), values.begin(), values.end());
    }
  }
}

void Replica::keep_mirror() {
  write_state(mirror_);
  mirror_cursor_ = cursor_;
  mirrored_ = true;
}

void Replica::fall_back() {
  has_state_ = mirrored_;
  if (mirrored_) load(mirror_cursor_, mirror_);
}

void Replica::load(const Cursor& cursor, std::span<const float> state) {
  if (state.size() != state_size()) {
    fail(Exit::data, "a state of {} numbers arrived, but this run has {}",
         state.size(), state_size());
  }
  const std::size_t n = model_.parameters().size();
  std::copy_n(state.data(), n, model_.parameters().data());
  const float* from = state.data() + n;
  for (auto* vectors : {&slots_, &extras_}) {
    for (linalg::Buffer& vector : *vectors) {
      std::copy_n(from, vector.span().size(), vector.data());
      from += vector.span().size();
    }
  }
  cursor_ = cursor;
  has_state_ = true;
}

void Replica::update(const optim::StepFactors& factors, nn::ElementRange range,
                     std::span<const float> gradient) {
  const auto part = [&](std::uint64_t begin, std::uint64_t end) {
    std::array<std::span<float>, kMostSlots> slots;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      slots[i] = slots_[i].span().subspan(begin, end - begin);
    }
    optim::update(optimizer_, factors, model_.parameters().subspan(begin, end - begin),
                  gradient.subspan(begin, end - begin), std::span(slots).first(slots_.size()));
  };
  for_ranges(workers_, range, part);
}

}  // namespace dl::train
