// SPDX-License-Identifier: MIT
#include "train/async_part.h"

#include <algorithm>

#include "base/error.h"

namespace dl::train {

namespace {

constexpr std::uint64_t kAlign = 16;  // floats: a cache line

void add(Contribution& left, const Contribution& right) {
  for (std::size_t i = 0; i < left.gradient.size(); ++i) left.gradient[i] = left.gradient[i] + right.gradient[i];
  left.weight += right.weight;
}

// The sum of contributions of one step, disjoint subtrees of `range` in ascending order: in the first of them.
void add_in_tree(std::span<Contribution> step, ShardRange range, const std::vector<Unit>& units) {
  if (step.size() == 1) return;
  const std::uint32_t middle = tree_split(range);
  const auto begin = std::partition_point(step.begin(), step.end(), [&](const Contribution& c) {
    return units[c.unit].shards.begin < middle;
  });
  const auto left = step.first(static_cast<std::size_t>(begin - step.begin()));
  const auto right = step.subspan(left.size());
  if (!left.empty()) add_in_tree(left, {range.begin, middle}, units);
  if (!right.empty()) add_in_tree(right, {middle, range.end}, units);
  if (!left.empty() && !right.empty()) add(left.front(), right.front());
}

}  // namespace

nn::ElementRange part_range(std::uint64_t elements, std::uint32_t parts, std::uint32_t part) {
  const auto border = [&](std::uint64_t p) {
    return p == parts ? elements : elements / kAlign * p / parts * kAlign;
  };
  return {border(part), border(part + 1)};
}

PartOwner::PartOwner(UpdateRule rule, std::uint64_t version, std::span<const float> values,
                     std::span<const std::span<const float>> slots)
    : rule_(std::move(rule)),
      version_(version),
      first_version_(version),
      values_(values.begin(), values.end()),
      progress_(rule_.units.size(), Progress{version, version, version}) {
  for (const std::span<const float> slot : slots) slots_.emplace_back(slot.begin(), slot.end());
}

std::uint64_t PartOwner::applied(std::uint32_t rank) const {
  std::uint64_t least = UINT64_MAX;
  for (std::size_t u = 0; u < rule_.units.size(); ++u) {
    if (rule_.units[u].rank == rank) least = std::min(least, progress_[u].applied);
  }
  return least;
}

void PartOwner::check(const Contribution& c) const {
  if (c.unit >= rule_.units.size()) {
    fail(Exit::data, "a gradient of unit {}, where there are {}", c.unit, rule_.units.size());
  }
  const Progress& unit = progress_[c.unit];
  if (c.step != unit.arrived || c.read < unit.read || c.read > version_ || c.gradient.size() != values_.size()) {
    fail(Exit::data,
         "a gradient of unit {} for step {} at version {} with {} elements, where step {} at versions {} to {} "
         "with {} elements is due",
         c.unit, c.step, c.read, c.gradient.size(), unit.arrived, unit.read, version_, values_.size());
  }
}

bool PartOwner::arrive(Contribution contribution) {
  check(contribution);
  Progress& unit = progress_[contribution.unit];
  ++unit.arrived;
  unit.read = contribution.read;
  gradients_ += rule_.units[contribution.unit].shards.size();
  waiting_.push_back(std::move(contribution));
  if (gradients_ < (version_ - first_version_ + 1) * rule_.shards) return false;
  update();
  return true;
}

void PartOwner::weaken(Contribution& c) const {
  const std::uint64_t tau = version_ - c.read;
  if (tau == 0) return;
  if (rule_.delay_compensation > 0 && c.weight > 0) {
    const auto lambda = static_cast<float>(rule_.delay_compensation / c.weight);
    const std::vector<float>& then = past_[past_.size() - tau];
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const float g = c.gradient[i];
      c.gradient[i] = g + ((lambda * g) * g) * (values_[i] - then[i]);
    }
  }
  const float factor = 1.0F / static_cast<float>(1 + tau);
  for (float& g : c.gradient) g = g * factor;
}

void PartOwner::update() {
  for (Contribution& c : waiting_) {
    weaken(c);
    progress_[c.unit].applied = std::max(progress_[c.unit].applied, c.step + 1);
  }
  std::sort(waiting_.begin(), waiting_.end(), [&](const Contribution& a, const Contribution& b) {
    return std::pair(a.step, rule_.units[a.unit].shards.begin) < std::pair(b.step, rule_.units[b.unit].shards.begin);
  });
  Contribution& total = waiting_.front();
  for (auto from = waiting_.begin(); from != waiting_.end();) {
    const auto to = std::find_if(from, waiting_.end(), [&](const Contribution& c) { return c.step != from->step; });
    add_in_tree({from, to}, {0, rule_.shards}, rule_.units);
    if (from != waiting_.begin()) add(total, *from);
    from = to;
  }
  if (rule_.delay_compensation > 0) past_.push_back(values_);
  std::vector<std::span<float>> slots(slots_.begin(), slots_.end());
  optim::update(rule_.optimizer,
                {.step = version_ + 1,
                 .lr = optim::learning_rate(rule_.schedule, version_),
                 .gradient_scale = optim::gradient_scale(total.weight, 0, 0)},
                values_, total.gradient, slots);
  ++version_;
  waiting_.clear();
  forget_past();
}

// What nobody can have computed at any more: a unit's reads only grow.
void PartOwner::forget_past() {
  std::uint64_t oldest = version_;
  for (const Progress& unit : progress_) oldest = std::min(oldest, unit.read);
  while (past_.size() > version_ - oldest) past_.pop_front();
}

}  // namespace dl::train
