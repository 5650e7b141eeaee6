// SPDX-License-Identifier: MIT
#include "train/replay.h"

#include <algorithm>
#include <map>

#include "base/clock.h"
#include "base/error.h"
#include "train/async_plan.h"
#include "train/batch_reader.h"
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
        replica_(seat.replica),
        sums_((record.last - record.first) * record.units.size()),
        places_(record.parts) {
    UpdateRule rule = update_rule(seat.config, 0, record.units, record.shards);
    rule.schedule.total = record.total;
    ranges_ = parts_of(replica_.model().parameters().size(), record.parts);
    for (std::uint32_t p = 0; p < record.parts; ++p) {
      owners_.push_back(own_part(rule, replica_, ranges_[p]));
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
    const UnitSums sums = add_up(record_.shards, record_.units, sums_);
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
    double weight = 0;
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
      const std::span<const double> losses(rank.losses), weights(rank.reader->segment_weights());
      made[i].weight = tree_sum(weights.subspan(from, rank.sizes[i]));
      sums_[(step - record_.first) * record_.units.size() + rank.units[i]] = {
          tree_sum(losses.subspan(from, rank.sizes[i])), made[i].weight};
      gradients_[{rank.units[i], step}] = std::move(made[i]);
    }
    forget();
    return true;
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
      const std::span<const float> slice =
          std::span<const float>(found->second.values).subspan(ranges_[p].begin, ranges_[p].end - ranges_[p].begin);
      const std::uint64_t version = read(record_.units[unit].rank, step - record_.first, p);
      const bool updated =
          owners_[p].arrive({unit, step, version, found->second.weight, {slice.begin(), slice.end()}});
      if (--found->second.parts_left == 0) gradients_.erase(found);
      moved = true;
      if (!updated) continue;
      const std::span<const float> values = owners_[p].values();
      past_[p][owners_[p].version()].assign(values.begin(), values.end());
      return true;
    }
    return moved;
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
  Replica& replica_;
  std::vector<UnitSums> sums_;                                     // by step and unit
  std::uint32_t bits_ = 0;
  std::vector<nn::ElementRange> ranges_;
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
  if (record->shards != seat_.data.shard_count()) {
    fail(Exit::data, "{}: it is of {} shards, and the data has {}", seat_.config.replay, record->shards,
         seat_.data.shard_count());
  }
  RoundTotals totals = Round(seat_, *record).run();
  totals.busy = seconds_between(begin, monotonic_ns());
  return totals;
}

}  // namespace dl::train
