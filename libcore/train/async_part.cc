// SPDX-License-Identifier: MIT
#include "train/async_part.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace dl::train {

namespace {


void add(std::span<float> left, std::span<const float> right) {
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = left[i] + right[i];
}

// The sum of one step's gradients, at disjoint subtrees of `range` in ascending order: in the first of them.
void add_in_tree(std::span<Contribution> step, ShardRange range, const std::vector<ShardRange>& places) {
  if (step.size() == 1) return;
  const std::uint32_t middle = tree_split(range);
  const auto begin = std::partition_point(step.begin(), step.end(), [&](const Contribution& c) {
    return places[c.unit].begin < middle;
  });
  const auto left = step.first(static_cast<std::size_t>(begin - step.begin()));
  const auto right = step.subspan(left.size());
  if (!left.empty()) add_in_tree(left, {range.begin, middle}, places);
  if (!right.empty()) add_in_tree(right, {middle, range.end}, places);
  if (!left.empty() && !right.empty()) add(left.front().gradient, right.front().gradient);
}

}  // namespace

PartOwner::PartOwner(UpdateRule rule, std::uint32_t part, std::uint64_t version, std::span<const float> values,
                     std::span<const std::span<const float>> slots)
    : rule_(std::move(rule)),
      tree_(unit_tree(rule_.shards, rule_.groups, rule_.units)),
      part_(part),
      version_(version),
      due_version_(version),
      first_version_(version),
      values_(values.begin(), values.end()),
      progress_(rule_.units.size(), Progress{version, version, version}) {
  for (const std::span<const float> slot : slots) slots_.emplace_back(slot.begin(), slot.end());
  for (const nn::ElementRange& range : rule_.parts) held_.push_back({range.begin, range.end, rule_.parts.back().end});
  for (auto& of_version : shares_) of_version.resize(held_.size());
}

std::uint64_t PartOwner::most_share_bytes(const std::vector<nn::ElementRange>& parts) {
  std::uint64_t most = 0;
  for (const nn::ElementRange& range : parts) {
    most = std::max<std::uint64_t>(most, optim::squares_share_bytes({range.begin, range.end, parts.back().end}));
  }
  return most;
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
  if (c.step != unit.arrived || c.read < unit.read || c.read > version_ || c.gradient.size() != values_.size() ||
      c.weights.size() != rule_.units[c.unit].shards.size()) {
    fail(Exit::data,
         "a gradient of unit {} for step {} at version {} with {} elements, where step {} at versions {} to {} "
         "with {} elements is due",
         c.unit, c.step, c.read, c.gradient.size(), unit.arrived, unit.read, version_, values_.size());
  }
}

void PartOwner::arrive(Contribution contribution) {
  check(contribution);
  Progress& unit = progress_[contribution.unit];
  ++unit.arrived;
  unit.read = contribution.read;
  gradients_ += rule_.units[contribution.unit].shards.size();
  waiting_.push_back(std::move(contribution));
  if (gradients_ < (due_version_ - first_version_ + 1) * rule_.shards) return;
  ++due_version_;
  due_.push_back(std::exchange(waiting_, {}));
  begin_next();
}

// What the first update that is due adds up to. Its contributions are weakened by what lies behind them now, so not
// before the update before it is applied.
void PartOwner::begin_next() {
  if (total_ || due_.empty()) return;
  total_ = add_up(due_.front());
  if (!optim::all_finite(total_->gradient)) {
    fail(Exit::data, "the sum of all gradients is not finite in update {}; a smaller --lr or --clip may help",
         version_ + 1);
  }
  if (clips()) offer();
}

void PartOwner::offer() {
  NormShare own{version_, total_->weight, {}};
  optim::write_squares_share(held_[part_], total_->gradient, own.squares);
  share_ = own;
  shares(version_)[part_] = std::move(own);
}

void PartOwner::hear(std::uint32_t part, NormShare share) {
  const bool fits = clips() && part < held_.size() && (share.version == version_ || share.version == version_ + 1) &&
                    !shares(share.version)[part] && share.squares.size() == optim::squares_share_bytes(held_[part]);
  if (!fits) {
    fail(Exit::data, "part {} tells {} bytes of the norm of update {}, and {} is the next one", part,
         share.squares.size(), share.version + 1, version_ + 1);
  }
  shares(share.version)[part] = std::move(share);
}

// Of the next update's whole gradient, as if all parts had this one's weight; nothing while shares are missing.
std::optional<double> PartOwner::squares() {
  auto& all = shares(version_);
  Bytes bytes;
  std::vector<double> scales;
  for (const std::optional<NormShare>& share : all) {
    if (!share) return std::nullopt;
    bytes.insert(bytes.end(), share->squares.begin(), share->squares.end());
    scales.push_back(share->weight > 0 ? total_->weight / share->weight : 0);
  }
  std::ranges::fill(all, std::nullopt);
  return optim::sum_of_shares(held_, bytes, scales);
}

bool PartOwner::advance() {
  if (!total_) return false;
  double squared = 0;
  if (clips()) {
    const std::optional<double> all = squares();
    if (!all) return false;
    squared = *all;
  }
  if (rule_.delay_compensation > 0) past_.push_back(values_);
  std::vector<std::span<float>> slots(slots_.begin(), slots_.end());
  optim::update(rule_.optimizer,
                {.step = version_ + 1,
                 .lr = optim::learning_rate(rule_.schedule, version_),
                 .gradient_scale = optim::gradient_scale(total_->weight, squared, rule_.optimizer.clip_norm)},
                values_, total_->gradient, slots);
  for (const Contribution& c : due_.front()) {
    progress_[c.unit].applied = std::max(progress_[c.unit].applied, c.step + 1);
  }
  ++version_;
  total_.reset();
  due_.pop_front();
  forget_past();
  begin_next();
  return true;
}

PartOwner::Total PartOwner::add_up(std::vector<Contribution>& taken) const {
  for (Contribution& c : taken) weaken(c);
  std::ranges::sort(taken, {}, [&](const Contribution& c) { return std::pair(c.step, tree_.places[c.unit].begin); });
  Total total;
  for (auto from = taken.begin(); from != taken.end();) {
    const auto to = std::find_if(from, taken.end(), [&](const Contribution& c) { return c.step != from->step; });
    std::vector<double> weights(rule_.shards);  // + 0 leaves a weight as it is
    for (auto c = from; c != to; ++c) {
      std::ranges::copy(c->weights, weights.begin() + rule_.units[c->unit].shards.begin);
    }
    const double weight = tree_sum(weights);
    add_in_tree({from, to}, {0, tree_.leaves}, tree_.places);
    if (from == taken.begin()) {
      total = {std::move(from->gradient), weight};
    } else {
      add(total.gradient, from->gradient);
      total.weight += weight;
    }
    from = to;
  }
  return total;
}

void PartOwner::weaken(Contribution& c) const {
  const std::uint64_t tau = version_ - c.read;
  if (tau == 0) return;
  const double weight = tree_sum(c.weights);
  if (rule_.delay_compensation > 0 && weight > 0) {
    const auto lambda = static_cast<float>(rule_.delay_compensation / weight);
    const std::vector<float>& then = past_[past_.size() - tau];
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const float g = c.gradient[i];
      c.gradient[i] = g + ((lambda * g) * g) * (values_[i] - then[i]);
    }
  }
  const float factor = 1.0F / static_cast<float>(1 + tau);
  for (float& g : c.gradient) g = g * factor;
}

// What nothing that waits or is to come can have been computed at: a unit's reads only grow.
void PartOwner::forget_past() {
  std::uint64_t oldest = version_;
  for (const Progress& unit : progress_) oldest = std::min(oldest, unit.read);
  const auto keep = [&](const std::vector<Contribution>& contributions) {
    for (const Contribution& c : contributions) oldest = std::min(oldest, c.read);
  };
  keep(waiting_);
  for (const auto& of_update : due_) keep(of_update);
  while (past_.size() > version_ - oldest) past_.pop_front();
}

}  // namespace dl::train
