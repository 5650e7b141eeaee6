// SPDX-License-Identifier: MIT
#include "train/sync.h"

#include <cmath>

#include "base/clock.h"
#include "train/compression.h"
#include "train/ranges.h"
#include "train/refusal.h"

namespace dl::train {

Sync::Sync(const Seat& seat)
    : seat_(seat),
      reader_(seat.data, seat.group.shards_of(seat.group.rank), seat.config.seed, seat.config.batch),
      schedule_(seat.config.schedule),
      losses_(seat.group.shards_of(seat.group.rank).size()) {
  join();
  for (std::size_t i = 0; i < group_sizes_.size(); ++i) partials_.push_back(comm_->part(i).data());
  schedule_.total = seat.config.total_steps(seat.data.manifest().training_samples());
}

void Sync::join() {
  const auto buckets = seat_.replica.model().buckets();
  if (!compresses(seat_.config)) {
    group_sizes_ = seat_.group.group_sizes();
    comm_ = seat_.connect(seat_.group.sum_plan(buckets));
    return;
  }
  const std::uint32_t groups = seat_.config.agreement.groups;
  const auto compression = compression_of(seat_.config, reader_.steps_per_epoch());
  group_sizes_ = shards_by_group(seat_.group, groups);
  feedback_.emplace(seat_.replica, seat_.config, compression, seat_.group);
  comm_ = comm::make_compressed(compressed_plan(seat_.group, groups, buckets), compression, feedback_->own(),
                                seat_.replica.step(), seat_.connect);
}

void Sync::settle(Whole what) {
  if (feedback_ && what != Whole::judge) feedback_->share(*comm_);
}

RoundTotals Sync::round(std::uint64_t /*limit*/) {
  const std::int64_t begin = monotonic_ns();
  const nn::Batch& batch = reader_.read(seat_.replica.step());
  bool posted = false;
  seat_.replica.model().backprop(batch, group_sizes_, partials_, losses_, [&](std::size_t bucket) {
    if (!posted) {  // the losses are known by now, the gradients not yet: the record travels first
      StepRecord::write(record_, StepRecord::bytes(seat_.group), seat_.wanted_bits(), losses_,
                        reader_.segment_weights(), busy_);
      comm_->post(record_);
      posted = true;
    }
    if (seat_.at_work) seat_.at_work();
    comm_->start(bucket);
  });
  const std::int64_t computed = monotonic_ns();
  StepTotals totals = read_records(seat_.group, comm_->collect());
  const std::int64_t collected = monotonic_ns();
  // An update that has begun must end on every rank, so nothing is applied before all sums are here.
  const double waited = wait_for_sums();
  const std::uint64_t samples = reader_.samples_of_step();
  auto refusal = refusal_of(totals);
  if (!refusal) refusal = apply(totals);
  const double updating = seconds_between(collected, monotonic_ns()) - waited;
  busy_ = seconds_between(begin, computed) + updating;
  return {.steps = 1,
          .samples = samples,
          .loss = refusal ? 0 : totals.loss,
          .weight = refusal ? 0 : totals.weight,
          .bits = totals.bits,
          .busy = busy_,
          .wait = seconds_between(computed, collected) + waited,
          .fixed = updating,
          .busy_before = std::move(totals.busy_before),
          .refusal = refusal};
}

double Sync::wait_for_sums() {
  const std::int64_t from = monotonic_ns();
  for (std::size_t b = 0; b < seat_.replica.model().buckets().size(); ++b) comm_->wait(b);
  return seconds_between(from, monotonic_ns());
}

// The sum has the same bits on every rank, so all come to the same verdict.
std::optional<Refusal> Sync::apply(const StepTotals& totals) {
  const std::span<const float> gradient = comm_->result();
  const std::uint64_t step = seat_.replica.step();
  const float clip = seat_.config.optimizer.clip_norm;
  const double squares = clip > 0 ? optim::sum_of_squares(gradient) : 0;
  const bool finite = clip > 0 ? std::isfinite(squares) : all_finite(seat_.replica.workers(), gradient);
  if (!finite) return refusal_of_sums(*comm_, first_bad_shard(seat_, step));
  const optim::StepFactors factors{.step = step + 1,
                                   .lr = optim::learning_rate(schedule_, step),
                                   .gradient_scale = optim::gradient_scale(totals.weight, squares, clip)};
  seat_.replica.update(factors, {0, gradient.size()}, gradient);
  return std::nullopt;
}

}  // namespace dl::train
