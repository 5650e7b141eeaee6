// SPDX-License-Identifier: MIT
#include "train/replay.h"

#include <algorithm>
#include <map>

#include "base/clock.h"
#include "base/error.h"
#include "data/sampler.h"
#include "train/async_plan.h"
#include "train/batch_reader.h"
#include "train/compressed_sums.h"
#include "train/compression.h"
#include "train/unit_sums.h"

namespace dl::train {

namespace {

// A gradient is computed as soon as the versions that it was computed at are there; an update follows as soon
// as the next gradient in its part's order is there. Where both stand still, the record contradicts itself.
class Round {
 public:
  Round(const Seat& seat, const RoundRecord& record)
      : seat_(seat),
        record_(record),
        tree_(unit_tree(record.shards, record.groups, record.units)),
        replica_(seat.replica),
        sums_((record.last - record.first) * record.units.size()),
        places_(record.parts) {
    ranges_ = parts_of(replica_.model().parameters().size(), record.units, record.parts);
    UpdateRule rule = update_rule(seat.config, 0, record.units, record.shards, ranges_);
    rule.schedule.total = record.total;
    const std::uint64_t per_epoch = data::steps_per_epoch(seat.data.manifest().training_samples(), seat.config.batch);
    codes_ = part_codes(seat.config, per_epoch, replica_.model(), ranges_);
    if (codes_) feedback_.emplace(replica_, seat.config, compression_of(seat.config), seat.group);
    for (std::uint32_t p = 0; p < record.parts; ++p) {
      owners_.push_back(own_part(rule, replica_, p));
      const std::span<const float> values = owners_[p].values();
      past_.push_back({{record.first, {values.begin(), values.end()}}});
    }
    for (std::uint32_t r = 0; r < record.parts; ++r) {
      const std::vector<std::uint32_t> units = units_at(record.units, r);
      if (units.empty()) continue;
      Rank& rank = ranks_[r];
      rank.units = units;
      std::vector<std::uint32_t> shards;
      for (const std::uint32_t u : units) {
        const ShardRange range = record.units[u].shards;
        rank.sizes.push_back(range.size());
        for (std::uint32_t s = range.begin; s < range.end; ++s) shards.push_back(s);
      }
      rank.reader.emplace(seat.data, shards, seat.config.seed, seat.config.batch);
      rank.losses.resize(shards.size());
    }
    next_.assign(record.units.size(), std::vector<std::uint64_t>(record.parts, record.first));
  }

  // Leaves the replica's numbers at the end of the round.
  RoundTotals run() {
    for (bool moved = true; std::exchange(moved, false);) {
      for (auto& [r, rank] : ranks_) {
        while (compute(r, rank)) moved = true;
      }
      for (std::uint32_t p = 0; p < record_.parts; ++p) moved = apply(p) || moved;
    }
    for (std::uint32_t p = 0; p < record_.parts; ++p) {
      if (owners_[p].version() != record_.last) {
        fail(Exit::data, "the record of steps {} to {} contradicts itself: part {} gets no further than {}",
             record_.first, record_.last, p, owners_[p].version());
      }
      std::ranges::copy(owners_[p].values(), replica_.model().parameters().begin() + at(p));
      for (std::size_t i = 0; i < replica_.slots(); ++i) {
        std::ranges::copy(owners_[p].slot(i), replica_.slot(i).begin() + at(p));
      }
    }
    const UnitSums sums = add_up(tree_, sums_);
    RoundTotals totals{.steps = record_.last - record_.first, .loss = sums.loss, .weight = sums.weight, .bits = bits_};
    for (std::uint64_t t = record_.first; t < record_.last; ++t) {
      totals.samples += samples_of_step(seat_.data.manifest(), seat_.config.batch, t);
    }
    return totals;
  }

 private:
  struct Rank {
    std::vector<std::uint32_t> units, sizes;
    std::optional<BatchReader> reader;
    std::vector<double> losses;
    std::uint64_t steps = 0;  // computed in this round
  };
  struct Gradient {
    std::vector<float> values;
    std::vector<Bytes> codes;      // by part, instead of the values
    std::vector<double> weights;   // by shard of the unit
    std::uint32_t parts_left = 0;  // that have not taken it
  };

  std::ptrdiff_t at(std::uint32_t part) const { return static_cast<std::ptrdiff_t>(ranges_[part].begin); }
  std::uint64_t read(std::uint32_t rank, std::uint64_t step, std::uint32_t part) const {
    return record_.reads[rank][step * record_.parts + part];
  }

  // The next step of a rank, if all that it read is there.
  bool compute(std::uint32_t r, Rank& rank) {
    if (rank.steps == record_.last - record_.first) return false;
    for (std::uint32_t p = 0; p < record_.parts; ++p) {
      if (!past_[p].contains(read(r, rank.steps, p))) return false;
    }
    for (std::uint32_t p = 0; p < record_.parts; ++p) {
      std::ranges::copy(past_[p].at(read(r, rank.steps, p)), replica_.model().parameters().begin() + at(p));
    }
    bits_ |= seat_.wanted_bits();
    if (seat_.at_work) seat_.at_work();
    const std::uint64_t step = record_.first + rank.steps++;
    std::vector<float*> partials;
    std::vector<Gradient> made(rank.units.size());
    for (Gradient& gradient : made) {
      gradient.values.resize(replica_.model().parameters().size());
      gradient.parts_left = record_.parts;
      partials.push_back(gradient.values.data());
    }
    const nn::Batch& batch = rank.reader->read(step);
    replica_.model().backprop(batch, rank.sizes, partials, rank.losses, [](std::size_t) {});
    std::size_t from = 0;
    for (std::size_t i = 0; i < made.size(); from += rank.sizes[i], ++i) {
      const std::span<const double> losses(rank.losses);
      const auto weights = std::span<const double>(rank.reader->segment_weights()).subspan(from, rank.sizes[i]);
      made[i].weights.assign(weights.begin(), weights.end());
      sums_[(step - record_.first) * record_.units.size() + rank.units[i]] = {
          tree_sum(losses.subspan(from, rank.sizes[i])), tree_sum(weights)};
      if (codes_) encode(step, rank.units[i], made[i]);
      gradients_[{rank.units[i], step}] = std::move(made[i]);
    }
    forget();
    return true;
  }

  void encode(std::uint64_t step, std::uint32_t unit, Gradient& gradient) {
    const std::uint32_t group = tree_.places[unit].begin;
    if (!codes_->encode(step, group, gradient.values, feedback_->own().groups[group], gradient.codes)) {
      fail(Exit::data, "the gradient of shard group {} is not finite in step {}", group, step + 1);
    }
    gradient.values = {};
  }

  // Of part p.
  std::vector<float> slice(const Gradient& gradient, std::uint64_t step, std::uint32_t p) const {
    const std::uint64_t size = ranges_[p].end - ranges_[p].begin;
    std::vector<float> values(size);
    if (codes_) {
      codes_->decode(gradient.codes[p], step, p, values);
    } else {
      std::copy_n(gradient.values.begin() + at(p), size, values.begin());
    }
    return values;
  }

  // Gives part p what comes next, up to one update.
  bool apply(std::uint32_t p) {
    bool moved = false;
    while (places_[p] < record_.arrivals[p].size()) {
      const std::uint32_t unit = record_.arrivals[p][places_[p]];
      const std::uint64_t step = next_[unit][p];
      const auto found = gradients_.find({unit, step});
      if (found == gradients_.end()) return moved;
      ++places_[p];
      ++next_[unit][p];
      const std::uint64_t version = read(record_.units[unit].rank, step - record_.first, p);
      owners_[p].arrive({unit, step, version, found->second.weights, slice(found->second, step, p)});
      if (--found->second.parts_left == 0) gradients_.erase(found);
      moved = true;
      if (advance(p)) return true;
    }
    return moved;
  }

  // Whatever follows from what has come to part p, which may be what all others waited for; true where p was updated.
  bool advance(std::uint32_t p) {
    const std::uint64_t before = owners_[p].version();
    for (bool moved = true; std::exchange(moved, false);) {
      for (std::uint32_t from = 0; from < record_.parts; ++from) {
        if (const std::optional<NormShare> share = owners_[from].take_share()) {
          for (std::uint32_t to = 0; to < record_.parts; ++to) {
            if (to != from) owners_[to].hear(from, *share);
          }
          moved = true;
        }
        if (!owners_[from].advance()) continue;
        const std::span<const float> values = owners_[from].values();
        past_[from][owners_[from].version()].assign(values.begin(), values.end());
        moved = true;
      }
    }
    return owners_[p].version() > before;
  }

  // Values that no rank reads any more.
  void forget() {
    for (std::uint32_t p = 0; p < record_.parts; ++p) {
      std::uint64_t oldest = record_.last;
      for (const auto& [r, rank] : ranks_) {
        if (rank.steps < record_.last - record_.first) oldest = std::min(oldest, read(r, rank.steps, p));
      }
      past_[p].erase(past_[p].begin(), past_[p].lower_bound(oldest));
    }
  }

  const Seat& seat_;
  const RoundRecord& record_;
  const UnitTree tree_;
  Replica& replica_;
  std::vector<UnitSums> sums_;                                     // by step and unit
  std::uint32_t bits_ = 0;
  std::vector<nn::ElementRange> ranges_;
  std::optional<comm::PartCodes> codes_;      // with --compress, as feedback_
  std::optional<FeedbackVectors> feedback_;   // of all groups
  std::vector<PartOwner> owners_;
  std::vector<std::map<std::uint64_t, std::vector<float>>> past_;  // by part: values by version
  std::map<std::uint32_t, Rank> ranks_;
  std::vector<std::vector<std::uint64_t>> next_;                   // by unit and part: the step that comes next
  std::vector<std::size_t> places_;                                // by part: in the order of arrivals
  std::map<std::pair<std::uint32_t, std::uint64_t>, Gradient> gradients_;  // by unit and step
};

}  // namespace

Replay::Replay(const Seat& seat)
    : seat_(seat), log_(seat.config.replay), comm_(seat.connect(seat.group.sum_plan({}))) {
  if (seat.group.size != 1) fail(Exit::bug, "a replay on {} nodes", seat.group.size);
  log_.pass_to(seat.replica.step());
}

RoundTotals Replay::round(std::uint64_t limit) {
  const std::int64_t begin = monotonic_ns();
  const std::uint64_t step = seat_.replica.step();
  const auto record = log_.next();
  if (!record) fail(Exit::data, "{}: it ends at step {}", seat_.config.replay, step);
  if (record->last - record->first > limit) {
    fail(Exit::data, "{}: the round from step {} on has {} steps, and at most {} can be", seat_.config.replay, step,
         record->last - record->first, limit);
  }
  if (record->groups != compressed_groups(seat_.config)) {
    fail(Exit::data, "{}: it is of {} compressed groups of shards, and the run has {}", seat_.config.replay,
         record->groups, compressed_groups(seat_.config));
  }
  if (record->shards != seat_.data.shard_count()) {
    fail(Exit::data, "{}: it is of {} shards, and the data has {}", seat_.config.replay, record->shards,
         seat_.data.shard_count());
  }
  RoundTotals totals = Round(seat_, *record).run();
  totals.busy = seconds_between(begin, monotonic_ns());
  return totals;
}

}  // namespace dl::train
