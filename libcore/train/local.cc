// SPDX-License-Identifier: MIT
#include "train/local.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/clock.h"
#include "base/error.h"
#include "train/compression.h"
#include "train/local_rounds.h"
#include "train/ranges.h"
#include "train/refusal.h"

namespace dl::train {

namespace {

// The model's buckets, once for each vector.
std::vector<nn::ElementRange> buckets_of(std::span<const nn::ElementRange> buckets, std::uint64_t size,
                                         std::size_t vectors) {
  std::vector<nn::ElementRange> all;
  for (std::size_t v = 0; v < vectors; ++v) {
    for (const nn::ElementRange& bucket : buckets) all.push_back({v * size + bucket.begin, v * size + bucket.end});
  }
  return all;
}

optim::OptimizerSpec outer_optimizer(const AgreementSpec& agreement) {
  optim::OptimizerSpec spec;
  spec.kind = agreement.outer_momentum > 0 ? optim::Kind::nesterov : optim::Kind::sgd;
  spec.momentum = static_cast<float>(agreement.outer_momentum);
  return spec;
}

}  // namespace

Local::Local(const Seat& seat)
    : seat_(seat),
      size_(seat.replica.model().parameters().size()),
      schedule_(seat.config.schedule),
      gradient_(size_) {
  schedule_.total = seat.config.total_steps(seat.data.manifest().training_samples());
  const std::vector<std::uint32_t> shards = seat.group.shards_of(seat.group.rank);
  for (const std::uint32_t s : shards) {
    readers_.emplace_back(seat.data, std::vector{s}, seat.config.seed, seat.config.batch);
  }
  losses_.resize(shards.size());
  weights_.resize(shards.size());
  for (std::size_t v = 0; v < 1 + seat.replica.slots(); ++v) state_.emplace_back(size_);
  join();
  unsigned depth = 0;
  for (const std::uint32_t n : part_sizes_) depth = std::max(depth, static_cast<unsigned>(std::bit_width(n - 1)));
  for (unsigned d = 0; d < depth; ++d) levels_.emplace_back(sent_ * size_);
}

void Local::join() {
  const auto buckets = seat_.replica.model().buckets();
  if (!compresses(seat_.config)) {
    part_sizes_ = seat_.group.group_sizes();
    sent_ = state_.size();
    const comm::SumPlan plan = seat_.group.sum_plan(buckets_of(buckets, size_, sent_));
    buckets_ = plan.buckets.size();
    comm_ = seat_.connect(plan);
    return;
  }
  const std::uint32_t groups = seat_.config.agreement.groups;
  const std::uint64_t per_epoch = data::steps_per_epoch(seat_.data.manifest().training_samples(), seat_.config.batch);
  const LocalRounds rounds(seat_.config, per_epoch);
  const auto compression = compression_of(seat_.config, rounds.before(per_epoch));
  part_sizes_ = shards_by_group(seat_.group, groups);
  feedback_.emplace(seat_.replica, seat_.config, compression, seat_.group);
  const comm::SumPlan plan = compressed_plan(seat_.group, groups, buckets);
  buckets_ = plan.buckets.size();
  comm_ = comm::make_compressed(plan, compression, feedback_->own(), rounds.before(seat_.replica.step()), seat_.connect);
}

void Local::settle(Whole what) {
  if (feedback_ && what != Whole::judge) feedback_->share(*comm_);
}

RoundTotals Local::round(std::uint64_t limit) {
  const std::int64_t begin = monotonic_ns();
  const std::uint64_t first = seat_.replica.step();
  const std::uint64_t steps = std::min(limit, seat_.config.agreement.local_steps);
  std::uint64_t samples = 0;
  for (std::uint64_t h = 0; h < steps; ++h) {
    samples += samples_of_step(seat_.data.manifest(), seat_.config.batch, first + h);
  }
  if (feedback_) unit_ = static_cast<double>(std::max<std::uint64_t>(samples, 1));
  compute(steps);
  bits_ |= seat_.wanted_bits();
  StepRecord::write(record_, StepRecord::bytes(seat_.group), bits_, losses_, weights_, busy_);
  comm_->post(record_);
  for (std::size_t b = 0; b < buckets_; ++b) comm_->start(b);
  const std::int64_t computed = monotonic_ns();

  StepTotals totals = read_records(seat_.group, comm_->collect());
  const double collecting = seconds_between(computed, monotonic_ns());
  RoundTotals out{.steps = steps, .samples = samples, .loss = totals.loss, .weight = totals.weight, .bits = totals.bits};
  out.wait = collecting + wait_for_sums();
  out.refusal = refusal_of(totals);
  if (!out.refusal && !all_finite(seat_.replica.workers(), comm_->result())) {
    out.refusal = refusal_of_sums(*comm_, first_bad_shard(steps));
  }
  if (out.refusal) {
    out.loss = out.weight = 0;
  } else {
    apply(totals.weight);
  }
  out.busy = busy_ = seconds_between(begin, computed);
  out.busy_before = std::move(totals.busy_before);
  return out;
}

// The sums of this rank's parts.
void Local::compute(std::uint64_t steps) {
  bits_ = 0;
  std::size_t shard = 0;
  for (std::size_t part = 0; part < part_sizes_.size(); ++part) {
    // Like a binary counter: shard i of the part lands on as many waiting sums as i has ones, and completes
    // as many subtrees as it ends with.
    for (std::uint32_t i = 0; i < part_sizes_[part]; ++i, ++shard) {
      go_alone(shard, steps);
      const int waiting = std::popcount(i);
      write_leaf(static_cast<float>(weights_[shard] / unit_), level(part, waiting));
      for (int d = waiting; d > waiting - std::countr_one(i); --d) add_up(part, d);
    }
    for (int d = std::popcount(part_sizes_[part]) - 1; d > 0; --d) add_up(part, d);
  }
}

// Leaves in state_ where the shard got to.
void Local::go_alone(std::size_t shard, std::uint64_t steps) {
  Replica& replica = seat_.replica;
  for_ranges(replica.workers(), {0, size_}, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::size_t v = 0; v < state_.size(); ++v) {
      if (v >= sent_) {  // slots that nobody keeps
        std::fill(state_[v].data() + begin, state_[v].data() + end, 0.0F);
        continue;
      }
      const float* from = v == 0 ? replica.model().parameters().data() : replica.slot(v - 1).data();
      std::copy(from + begin, from + end, state_[v].data() + begin);
    }
  });
  losses_[shard] = weights_[shard] = 0;
  for (std::uint64_t h = 0; h < steps; ++h) {
    bits_ |= seat_.wanted_bits();  // what cannot wait for the end of the round ends it here
    if (seat_.at_work) seat_.at_work();
    step_alone(shard, h);
  }
}

// Step `h` of the round.
void Local::step_alone(std::size_t shard, std::uint64_t h) {
  const std::uint64_t step = seat_.replica.step() + h;
  const nn::Batch& batch = readers_[shard].read(step);
  const double weight = readers_[shard].segment_weights()[0];
  if (!(weight > 0)) return;
  double loss = 0;
  float* const gradient = gradient_.data();
  seat_.replica.model().backprop(state_[0].span(), batch, lone_, {&gradient, 1}, {&loss, 1}, [](std::size_t) {});
  losses_[shard] += loss;
  weights_[shard] += weight;

  const optim::OptimizerSpec& optimizer = seat_.config.optimizer;
  const double squares = optimizer.clip_norm > 0 ? optim::sum_of_squares(gradient_.span()) : 0;
  const optim::StepFactors factors{.step = feedback_ ? h + 1 : step + 1,
                                   .lr = optim::learning_rate(schedule_, step),
                                   .gradient_scale = optim::gradient_scale(weight, squares, optimizer.clip_norm)};
  for_ranges(seat_.replica.workers(), {0, size_}, [&](std::uint64_t begin, std::uint64_t end) {
    std::array<std::span<float>, kMostSlots> slots;
    const std::size_t count = state_.size() - 1;
    for (std::size_t i = 0; i < count; ++i) slots[i] = state_[1 + i].span().subspan(begin, end - begin);
    optim::update(optimizer, factors, state_[0].span().subspan(begin, end - begin),
                  gradient_.span().subspan(begin, end - begin), std::span(slots).first(count));
  });
}

// Sum number `depth` of those that wait in a part; the first is the part itself.
std::span<float> Local::level(std::size_t part, std::size_t depth) {
  return depth == 0 ? comm_->part(part) : levels_[depth - 1].span();
}

void Local::write_leaf(float weight, std::span<float> to) {
  Replica& replica = seat_.replica;
  for_ranges(replica.workers(), {0, size_}, [&](std::uint64_t begin, std::uint64_t end) {
    const float* const before = replica.model().parameters().data();
    const float* const after = state_[0].data();
    for (std::uint64_t i = begin; i < end; ++i) to[i] = weight * (before[i] - after[i]);
    for (std::size_t v = 1; v < sent_; ++v) {
      const float* const slot = state_[v].data();
      float* const sum = to.data() + v * size_;
      for (std::uint64_t i = begin; i < end; ++i) sum[i] = weight * slot[i];
    }
  });
}

void Local::add_up(std::size_t part, std::size_t depth) {
  float* const left = level(part, depth - 1).data();
  const float* const right = level(part, depth).data();
  for_ranges(seat_.replica.workers(), {0, sent_ * size_}, [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i) left[i] += right[i];
  });
}

double Local::wait_for_sums() {
  const std::int64_t from = monotonic_ns();
  // A round that has begun to be applied must end on every rank.
  for (std::size_t b = 0; b < buckets_; ++b) comm_->wait(b);
  return seconds_between(from, monotonic_ns());
}

// Each of this rank's shards goes the same way again: the sums do not tell whose part it was.
std::optional<std::uint32_t> Local::first_bad_shard(std::uint64_t steps) {
  const std::vector<std::uint32_t> mine = seat_.group.shards_of(seat_.group.rank);
  for (std::size_t shard = 0; shard < mine.size(); ++shard) {
    go_alone(shard, steps);
    for (const linalg::Buffer& vector : state_) {
      if (!all_finite(seat_.replica.workers(), vector.span())) return mine[shard];
    }
  }
  return std::nullopt;
}

void Local::apply(double weight) {
  if (!(weight > 0)) return;
  Replica& replica = seat_.replica;
  const std::span<const float> sums = comm_->result();
  const optim::OptimizerSpec outer = outer_optimizer(seat_.config.agreement);
  const optim::StepFactors factors{.lr = static_cast<float>(seat_.config.agreement.outer_lr),
                                   .gradient_scale = static_cast<float>(unit_ / weight)};
  for_ranges(replica.workers(), {0, size_}, [&](std::uint64_t begin, std::uint64_t end) {
    const auto range = [&](std::span<float> vector) { return vector.subspan(begin, end - begin); };
    std::span<float> momentum;
    if (outer.kind == optim::Kind::nesterov) momentum = range(replica.extra(replica.extras() - 1));
    optim::update(outer, factors, range(replica.model().parameters()), sums.subspan(begin, end - begin),
                  {&momentum, outer.kind == optim::Kind::nesterov ? 1U : 0U});
    for (std::size_t s = 0; s + 1 < sent_; ++s) {
      const float* const sum = sums.data() + (1 + s) * size_;
      float* const slot = replica.slot(s).data();
      for (std::uint64_t i = begin; i < end; ++i) slot[i] = factors.gradient_scale * sum[i];
    }
  });
}

}  // namespace dl::train
