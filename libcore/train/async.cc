// SPDX-License-Identifier: MIT
#include "train/async.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "train/ranges.h"
#include "train/refusal.h"

namespace dl::train {

namespace {

enum Tag : std::uint64_t {
  kGradient,  // to an owner: u32 unit, u32 zero, u64 step, u64 version read, f64 weight; the part's floats
  kValues,    // from an owner: u64 version, by rank u64 steps applied; the part's floats
  kTaken,     // to an owner: its values are taken
  kReached,   // to all: u64 first step of the round, u64 steps begun; this rank stops there
  kStop,      // to oneself: the serving thread ends
};

// Of a round, so that people see how it goes. The first rounds of a group are shorter: they show its speeds.
constexpr double kFirstSeconds = 0.125, kMostSeconds = 2;
constexpr std::chrono::milliseconds kLookAround{20};  // for what the coordinator wants, while waiting
constexpr std::size_t kPieceFloats = std::size_t{1} << 20;

template <typename T>
void put_all(Bytes& out, const std::vector<T>& values) {
  const ByteView bytes = as_bytes_of(std::span<const T>(values));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <typename T>
std::vector<T> get_all(ByteReader& in, std::size_t count) {
  std::vector<T> values(count);
  const ByteView bytes = in.take(count * sizeof(T));
  if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::uint64_t longest_head(std::uint64_t ranks) { return std::max<std::uint64_t>(32, 8 + 8 * ranks); }

}  // namespace

Async::Async(const Seat& seat)
    : seat_(seat),
      me_(seat.group.rank),
      units_(units_of(seat.group)),
      mine_(units_at(units_, me_)),
      group_sizes_(seat.group.group_sizes()),
      parts_(parts_of(seat.replica.model().parameters().size(), seat.group.size)),
      reader_(seat.data, seat.group.shards_of(me_), seat.config.seed, seat.config.batch),
      most_steps_(most_round_steps(units_.size(), seat.group.size)),
      most_under_way_(most_under_way(units_, me_)),
      losses_(seat.group.shards_of(me_).size()),
      read_(parts_.size(), seat.replica.step()),
      round_seconds_(kFirstSeconds),
      comm_(seat.connect(
          message_plan(seat.group, seat.replica.model().parameters().size(), longest_head(seat.group.size)))),
      owner_(own_part(update_rule(seat.config, seat.data.manifest().training_samples(), units_,
                                  static_cast<std::uint32_t>(seat.group.owner.size())),
                      seat.replica, parts_[me_])),
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
  seat_.replica.model().backprop(batch, group_sizes_, partials_, losses_, [](std::size_t) {});
  const std::vector<std::uint32_t> shards = seat_.group.shards_of(me_);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (std::isfinite(losses_[i])) continue;
    fail(Exit::data, "the loss of shard {} is not finite in step {}; a smaller --lr may help", shards[i], step + 1);
  }
  const bool finite = std::ranges::all_of(
      gradients_, [&](const linalg::Buffer& g) { return all_finite(seat_.replica.workers(), g.span()); });
  if (!finite) refuse_gradient(step);
  std::size_t at = 0;
  std::vector<double> weights;
  for (const std::uint32_t size : group_sizes_) {
    const std::span<const double> by_shard(reader_.segment_weights());
    sums_.push_back({tree_sum(std::span(losses_).subspan(at, size)), tree_sum(by_shard.subspan(at, size))});
    weights.push_back(sums_.back().weight);
    at += size;
  }
  push(weights);
  if (seat_.at_work) seat_.at_work();
  busy_ += seconds_between(begin, monotonic_ns());
}

void Async::refuse_gradient(std::uint64_t step) {
  const std::optional<std::uint32_t> shard = first_bad_shard(seat_, step);
  fail(Exit::data, "the gradient of {} is not finite in step {}; a smaller --lr may help",
       shard ? fmt::format("shard {}", *shard) : "several shards together", step + 1);
}

// Sends the gradients of the step that was begun last.
void Async::push(const std::vector<double>& weights) {
  const std::uint64_t step = next_ - 1;
  for (std::size_t i = 0; i < mine_.size(); ++i) {
    for (std::uint32_t p = 0; p < parts_.size(); ++p) {
      const std::span<const float> slice =
          gradients_[i].span().subspan(parts_[p].begin, parts_[p].end - parts_[p].begin);
      if (p == me_) {
        const std::lock_guard lock(mutex_);
        take({mine_[i], step, read_[p], weights[i], {slice.begin(), slice.end()}});
        continue;
      }
      Bytes head;
      put(head, mine_[i]);
      put(head, std::uint32_t{0});
      put(head, step);
      put(head, read_[p]);
      put(head, weights[i]);
      const ByteView pieces[] = {head, as_bytes_of(slice)};
      comm_->send(p, kGradient, pieces);
    }
  }
}

void Async::take(Contribution contribution) {
  arrivals_.push_back(contribution.unit);
  if (!owner_.arrive(std::move(contribution))) return;
  note_own();
  for (std::uint32_t r = 0; r < readers_.size(); ++r) {
    if (r != me_) publish(r);
  }
}

void Async::note_own() {
  std::ranges::copy(owner_.values(), newest_.begin() + static_cast<std::ptrdiff_t>(parts_[me_].begin));
  versions_[me_] = owner_.version();
  for (std::uint32_t r = 0; r < seat_.group.size; ++r) applied_[me_][r] = owner_.applied(r);
  changed_.notify_all();
}

// Sends this rank's part, as it is now.
void Async::publish(std::uint32_t rank) {
  Reader& reader = readers_[rank];
  reader.behind = reader.credit == 0;
  if (reader.behind) return;
  --reader.credit;
  Bytes head;
  put(head, owner_.version());
  put_all(head, applied_[me_]);
  const ByteView pieces[] = {head, as_bytes_of(owner_.values())};
  comm_->send(rank, kValues, pieces);
}

void Async::serve() {
  flush_denormals();
  try {
    for (;;) {
      const std::optional<comm::Message> message = comm_->take(true);
      if (message->tag == kStop && message->from == me_) return;
      hear(*message);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

void Async::hear(const comm::Message& message) {
  ByteReader in(message.payload, fmt::format("a message of rank {}", message.from));
  const std::uint32_t from = message.from;
  if (message.tag == kGradient) {
    Contribution c;
    c.unit = in.get<std::uint32_t>();
    in.get<std::uint32_t>();
    c.step = in.get<std::uint64_t>();
    c.read = in.get<std::uint64_t>();
    c.weight = in.get<double>();
    c.gradient = get_all<float>(in, in.left() / sizeof(float));
    if (c.unit >= units_.size() || units_[c.unit].rank != from) {
      fail(Exit::data, "rank {} sent a gradient of unit {}, which is not its own", from, c.unit);
    }
    const std::lock_guard lock(mutex_);
    take(std::move(c));
  } else if (message.tag == kValues) {
    const auto version = in.get<std::uint64_t>();
    const std::vector<std::uint64_t> applied = get_all<std::uint64_t>(in, parts_.size());
    const nn::ElementRange part = parts_[from];
    const std::vector<float> values = get_all<float>(in, part.end - part.begin);
    const std::lock_guard lock(mutex_);
    std::ranges::copy(values, newest_.begin() + static_cast<std::ptrdiff_t>(part.begin));
    versions_[from] = version;
    applied_[from] = applied;
    comm_->send(from, kTaken, {});  // before anybody sees the values: after a round nothing is under way
    changed_.notify_all();
  } else if (message.tag == kTaken) {
    const std::lock_guard lock(mutex_);
    ++readers_[from].credit;
    if (readers_[from].behind) publish(from);
  } else if (message.tag == kReached) {
    const auto first = in.get<std::uint64_t>(), begun = in.get<std::uint64_t>();
    const std::lock_guard lock(mutex_);
    if (first != first_) return;  // of a round that came to its end nevertheless
    reached_[from] = begun;
    if (!reached_[me_]) halt();
    changed_.notify_all();
  } else {
    fail(Exit::data, "rank {} sent a message of kind {}, which is none", from, message.tag);
  }
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
  RoundRecord record{first, last, owner_.rule().schedule.total, owner_.rule().shards, ranks, units_, {}, {}};
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

  const UnitSums total = add_up(record.shards, units_, sums);
  totals.loss = total.loss;
  totals.weight = total.weight;
  for (std::uint64_t t = first; t < last; ++t) {
    totals.samples += samples_of_step(seat_.data.manifest(), seat_.config.batch, t);
  }
  return totals;
}

// The parameters are whole after every round; each owner has its part of the slots.
void Async::settle(Whole what) {
  if (what == Whole::judge) return;
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
