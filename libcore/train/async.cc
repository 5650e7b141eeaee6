// SPDX-License-Identifier: MIT
#include "train/async.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "train/async_messages.h"
#include "train/compression.h"
#include "train/ranges.h"
#include "train/refusal.h"

namespace dl::train {

namespace {

// Of a round, so that people see how it goes. The first rounds of a group are shorter: they show its speeds.
constexpr double kFirstSeconds = 0.125, kMostSeconds = 2;
constexpr std::chrono::milliseconds kLookAround{20};  // for what the coordinator wants, while waiting
constexpr std::size_t kPieceFloats = std::size_t{1} << 20;

std::uint64_t longest_head(const Group& group) {
  return std::max<std::uint64_t>(24 + 8 * group.owner.size(), 8 + 8 * std::uint64_t{group.size});
}

std::vector<std::uint32_t> sizes_of(const std::vector<Unit>& units, const std::vector<std::uint32_t>& which) {
  std::vector<std::uint32_t> sizes;
  for (const std::uint32_t u : which) sizes.push_back(units[u].shards.size());
  return sizes;
}

}  // namespace

Async::Async(const Seat& seat)
    : seat_(seat),
      me_(seat.group.rank),
      units_(units_of(seat.group, compressed_groups(seat.config))),
      mine_(units_at(units_, me_)),
      unit_sizes_(sizes_of(units_, mine_)),
      parts_(parts_of(seat.replica.model().parameters().size(), units_, seat.group.size)),
      reader_(seat.data, seat.group.shards_of(me_), seat.config.seed, seat.config.batch),
      rule_(update_rule(seat.config, seat.data.manifest().training_samples(), units_,
                        static_cast<std::uint32_t>(seat.group.owner.size()), parts_)),
      tree_(unit_tree(rule_.shards, rule_.groups, units_)),
      codes_(part_codes(seat.config, reader_.steps_per_epoch(), seat.replica.model(), parts_)),
      most_steps_(most_round_steps(units_.size(), seat.group.size)),
      most_under_way_(most_under_way(units_, me_)),
      losses_(seat.group.shards_of(me_).size()),
      read_(parts_.size(), seat.replica.step()),
      round_seconds_(kFirstSeconds),
      comm_(seat.connect(message_plan(seat.group, rule_, codes_, longest_head(seat.group)))),
      owner_(own_part(rule_, seat.replica, me_)),
      newest_(seat.replica.model().parameters().begin(), seat.replica.model().parameters().end()),
      versions_(parts_.size(), seat.replica.step()),
      applied_(parts_.size(), std::vector<std::uint64_t>(parts_.size(), UINT64_MAX)),
      readers_(parts_.size()),
      first_(seat.replica.step()),
      next_(first_),
      reached_(parts_.size()) {
  for (auto& part : applied_) {
    for (const Unit& unit : units_) part[unit.rank] = first_;
  }
  for (std::size_t i = 0; i < mine_.size(); ++i) {
    gradients_.emplace_back(newest_.size());
    partials_.push_back(gradients_.back().data());
  }
  if (codes_) feedback_.emplace(seat.replica, seat.config, compression_of(seat.config), seat.group);
  if (seat.group.size > 1) server_ = std::thread([this] { serve(); });
}

Async::~Async() {
  if (!server_.joinable()) return;
  try {
    comm_->send(me_, kStop, {});
  } catch (const comm::RoundAborted&) {  // so the serving thread ends by itself
  }
  server_.join();
}

RoundTotals Async::round(std::uint64_t limit) {
  const std::int64_t begun = monotonic_ns();
  const std::uint64_t first = seat_.replica.step();
  // The first step of a run is a round of its own: it shows that everything works.
  std::uint64_t end = first + (first == 0 ? 1 : std::min(limit, most_steps_));
  std::uint32_t bits = 0;
  busy_ = 0;
  sums_.clear();
  while (const auto step = next_turn(end, bits, begun)) compute(*step);
  RoundTotals totals = close(first, end, bits);
  round_seconds_ = std::min(2 * round_seconds_, kMostSeconds);
  totals.busy = busy_;
  totals.wait = seconds_between(begun, monotonic_ns()) - busy_;
  return totals;
}

// The step to compute, with the newest values in the model; or nothing, when the round is over at `end`.
std::optional<std::uint64_t> Async::next_turn(std::uint64_t& end, std::uint32_t& bits, std::int64_t begun_ns) {
  for (;;) {
    bits |= seat_.wanted_bits();
    const bool stop = bits != 0 || seconds_between(begun_ns, monotonic_ns()) > round_seconds_;
    std::unique_lock lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
    if (stop && !reached_[me_] && next_ < end) halt();
    const std::optional<std::uint64_t> agreed = agreed_end();
    if (agreed) end = std::min(end, *agreed);
    const bool over = all_at(end);
    const bool turn = !over && !mine_.empty() && next_ < end && (!reached_[me_] || agreed) && may_begin(next_);
    if (over || turn) {
      std::ranges::copy(newest_, seat_.replica.model().parameters().begin());
      read_ = versions_;
      if (over) return std::nullopt;
      reads_.insert(reads_.end(), read_.begin(), read_.end());
      return next_++;
    }
    changed_.wait_for(lock, kLookAround);
  }
}

bool Async::may_begin(std::uint64_t step) const {
  return std::ranges::all_of(applied_, [&](const auto& by_rank) {
    return train::may_begin(step, me_, by_rank, seat_.config.agreement.max_staleness, most_under_way_);
  });
}

bool Async::all_at(std::uint64_t version) const {
  return std::ranges::all_of(versions_, [&](std::uint64_t v) { return v >= version; });
}

std::optional<std::uint64_t> Async::agreed_end() const {
  std::uint64_t most = first_ + 1;
  for (const auto& steps : reached_) {
    if (!steps) return std::nullopt;
    most = std::max(most, *steps);
  }
  return most;
}

void Async::halt() {
  reached_[me_] = next_;
  const std::vector<std::uint64_t> words = {first_, next_};
  const ByteView bytes = as_bytes_of(std::span<const std::uint64_t>(words));
  for (std::uint32_t r = 0; r < seat_.group.size; ++r) {
    if (r != me_) comm_->send(r, kReached, std::span(&bytes, 1));
  }
}

void Async::compute(std::uint64_t step) {
  const std::int64_t begin = monotonic_ns();
  const nn::Batch& batch = reader_.read(step);
  seat_.replica.model().backprop(batch, unit_sizes_, partials_, losses_, [](std::size_t) {});
  const std::vector<std::uint32_t> shards = seat_.group.shards_of(me_);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (std::isfinite(losses_[i])) continue;
    fail(Exit::data, "the loss of shard {} is not finite in step {}; a smaller --lr may help", shards[i], step + 1);
  }
  std::size_t at = 0;
  for (const std::uint32_t size : unit_sizes_) {
    const std::span<const double> by_shard(reader_.segment_weights());
    sums_.push_back({tree_sum(std::span(losses_).subspan(at, size)), tree_sum(by_shard.subspan(at, size))});
    at += size;
  }
  push(step);
  if (seat_.at_work) seat_.at_work();
  busy_ += seconds_between(begin, monotonic_ns());
}

void Async::refuse_gradient(std::uint64_t step) {
  const std::optional<std::uint32_t> shard = first_bad_shard(seat_, step);
  fail(Exit::data, "the gradient of {} is not finite in step {}; a smaller --lr may help",
       shard ? fmt::format("shard {}", *shard) : "several shards together", step + 1);
}

// Sends the gradients of the step.
void Async::push(std::uint64_t step) {
  const std::span<const double> by_shard(reader_.segment_weights());
  std::vector<Bytes> codes;
  std::size_t at = 0;
  for (std::size_t i = 0; i < mine_.size(); at += unit_sizes_[i], ++i) {
    const std::span<const float> gradient = gradients_[i].span();
    if (!encode(step, i, codes)) refuse_gradient(step);
    const std::span<const double> weights = by_shard.subspan(at, unit_sizes_[i]);
    for (std::uint32_t p = 0; p < parts_.size(); ++p) {
      const std::span<const float> slice = gradient.subspan(parts_[p].begin, parts_[p].end - parts_[p].begin);
      if (p == me_) {
        Contribution own{mine_[i], step, read_[p], {weights.begin(), weights.end()}, {slice.begin(), slice.end()}};
        if (codes_) codes_->decode(codes[p], step, p, own.gradient);
        const std::lock_guard lock(mutex_);
        take(std::move(own));
        continue;
      }
      Bytes head;
      put(head, mine_[i]);
      put(head, std::uint32_t{0});
      put(head, step);
      put(head, read_[p]);
      const ByteView pieces[] = {head, as_bytes_of(weights), codes_ ? ByteView(codes[p]) : as_bytes_of(slice)};
      comm_->send(p, kGradient, pieces);
    }
  }
}

// Where gradients are compressed, the code of each part; false where the gradient is not finite.
bool Async::encode(std::uint64_t step, std::size_t i, std::vector<Bytes>& codes) {
  const std::span<const float> gradient = gradients_[i].span();
  if (!codes_) return all_finite(seat_.replica.workers(), gradient);
  return codes_->encode(step, tree_.places[mine_[i]].begin, gradient, feedback_->own().groups[i], codes);
}

// Everyone tells what it did; nobody leaves the round before all have come to its end.
RoundTotals Async::close(std::uint64_t first, std::uint64_t last, std::uint32_t bits) {
  const std::uint64_t steps = last - first;
  const std::uint32_t ranks = seat_.group.size;
  Bytes mine;
  put(mine, busy_);
  put(mine, bits);
  put_all(mine, sums_);
  {
    const std::lock_guard lock(mutex_);
    put_all(mine, std::exchange(reads_, {}));
    put_all(mine, std::exchange(arrivals_, {}));
    first_ = next_ = last;
    std::ranges::fill(reached_, std::nullopt);
  }
  std::vector<std::uint64_t> units(ranks);
  for (const Unit& unit : units_) ++units[unit.rank];
  std::vector<std::uint32_t> sizes;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    const std::uint64_t reads = units[r] > 0 ? 8 * ranks : 0;
    sizes.push_back(static_cast<std::uint32_t>(12 + steps * (16 * units[r] + reads + 4 * units_.size())));
  }
  const ByteView all = comm_->gather(mine, sizes);

  RoundTotals totals{.steps = steps, .busy_before = std::exchange(busy_of_ranks_, {})};
  RoundRecord record{.first = first,
                     .last = last,
                     .total = rule_.schedule.total,
                     .shards = rule_.shards,
                     .parts = ranks,
                     .groups = rule_.groups,
                     .units = units_,
                     .reads = {},
                     .arrivals = {}};
  std::vector<UnitSums> sums(steps * units_.size());
  std::size_t at = 0, unit = 0;
  for (std::uint32_t r = 0; r < ranks; at += sizes[r], unit += units[r], ++r) {
    ByteReader in(all.subspan(at, sizes[r]), fmt::format("what rank {} tells of a round", r));
    busy_of_ranks_.push_back(in.get<double>());
    totals.bits |= in.get<std::uint32_t>();
    const std::vector<UnitSums> its = get_all<UnitSums>(in, steps * units[r]);
    for (std::uint64_t t = 0; t < steps; ++t) {
      std::copy_n(its.begin() + static_cast<std::ptrdiff_t>(t * units[r]), units[r],
                  sums.begin() + static_cast<std::ptrdiff_t>(t * units_.size() + unit));
    }
    record.reads.push_back(get_all<std::uint64_t>(in, units[r] > 0 ? steps * ranks : 0));
    record.arrivals.push_back(get_all<std::uint32_t>(in, steps * units_.size()));
  }
  if (seat_.updates) seat_.updates(first, last, record.encode());

  const UnitSums total = add_up(tree_, sums);
  totals.loss = total.loss;
  totals.weight = total.weight;
  for (std::uint64_t t = first; t < last; ++t) {
    totals.samples += samples_of_step(seat_.data.manifest(), seat_.config.batch, t);
  }
  return totals;
}

// The parameters are whole after every round; each owner has its part of the slots, and each group's rank what that
// has held back.
void Async::settle(Whole what) {
  if (what == Whole::judge) return;
  if (feedback_) feedback_->share(*comm_);
  for (std::size_t slot = 0; slot < seat_.replica.slots(); ++slot) {
    std::uint64_t longest = 0;
    for (const nn::ElementRange& part : parts_) longest = std::max(longest, part.end - part.begin);
    for (std::uint64_t from = 0; from < longest; from += kPieceFloats) {
      std::vector<nn::ElementRange> pieces;
      std::vector<std::uint32_t> sizes;
      for (const nn::ElementRange& part : parts_) {
        const std::uint64_t begin = std::min(part.begin + from, part.end);
        pieces.push_back({begin, std::min(begin + kPieceFloats, part.end)});
        sizes.push_back(static_cast<std::uint32_t>((pieces.back().end - begin) * sizeof(float)));
      }
      const nn::ElementRange own = pieces[me_];
      std::vector<float> mine;
      {
        const std::lock_guard lock(mutex_);
        const auto values = owner_.slot(slot).subspan(own.begin - parts_[me_].begin, own.end - own.begin);
        mine.assign(values.begin(), values.end());
      }
      const ByteView all = comm_->gather(as_bytes_of(std::span<const float>(mine)), sizes);
      std::size_t at = 0;
      for (std::size_t p = 0; p < pieces.size(); at += sizes[p], ++p) {
        if (sizes[p] > 0) std::memcpy(seat_.replica.slot(slot).data() + pieces[p].begin, all.data() + at, sizes[p]);
      }
    }
  }
}

}  // namespace dl::train
