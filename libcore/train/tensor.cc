// SPDX-License-Identifier: MIT
#include "train/tensor.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "linalg/products.h"
#include "train/ranges.h"

namespace dl::train {

namespace {

// The coordinator's word is checked once; everything else follows from it.
const Seat& checked(const Seat& seat) {
  const Group& group = seat.group;
  const std::uint32_t blocks = seat.config.agreement.blocks;
  const auto in_group = [&](std::uint32_t rank) { return rank < group.size; };
  if (group.block_owner.size() != blocks || !std::ranges::all_of(group.block_owner, in_group)) {
    fail(Exit::disagree, "{} of {} blocks are dealt to {} ranks", group.block_owner.size(), blocks, group.size);
  }
  return seat;
}

// Rows in panels that a step has at most.
std::uint32_t most_rows(const Seat& seat, std::uint64_t steps_per_epoch) {
  std::vector<std::uint32_t> rows;
  for (const data::ShardEntry& shard : seat.data.manifest().shards) {
    rows.push_back(static_cast<std::uint32_t>((shard.samples + steps_per_epoch - 1) / steps_per_epoch));
  }
  return nn::BlockedModel::most_slots(seat.replica.model().arithmetic(), rows);
}

comm::SumPlan plan_of(const Group& group, const Group& speakers, const nn::Blocking& blocking, std::uint32_t rows) {
  comm::SumPlan plan;
  plan.shards = blocking.blocks();
  for (std::uint32_t r = 0; r < group.size; ++r) {
    plan.parts_of_rank.push_back(maximal_subtrees(plan.shards, group.blocks_of(r)));
  }
  std::uint64_t at = 0;
  for (const std::uint32_t width : blocking.sums()) {
    const std::uint64_t end = at + linalg::panel_floats(rows, width);
    plan.buckets.push_back({at, end});
    at = end;
  }
  plan.record_bytes = StepRecord::bytes(speakers);
  plan.message_bytes = Transfers::kMessageBytes;
  return plan;
}

}  // namespace

Tensor::Tensor(const Seat& seat)
    : seat_(checked(seat)),
      blocking_(seat.config.model_spec(), seat.config.agreement.blocks),
      own_(seat.group.blocks_of(seat.group.rank)),
      speakers_{.generation = seat.group.generation, .rank = seat.group.rank, .size = seat.group.size, .owner = {}},
      readers_{BatchReader(seat.data, seat.group.shards_read(), seat.config.seed, seat.config.batch),
               BatchReader(seat.data, seat.group.shards_read(), seat.config.seed, seat.config.batch)},
      model_(seat.config.model_spec(), blocking_, own_, seat.replica.model().arithmetic(), seat.replica.workers()),
      comm_([&] {
        const comm::SumPlan plan =
            plan_of(seat.group, speakers_, blocking_, most_rows(seat, readers_[0].steps_per_epoch()));
        for (const comm::SumPlan::Bucket& bucket : plan.buckets) sums_.push_back(bucket.begin);
        return seat.connect(plan);
      }()),
      transfers_(*comm_),
      schedule_(seat.config.schedule),
      losses_(seat.group.owner.size()) {
  schedule_.total = seat.config.total_steps(seat.data.manifest().training_samples());
  const std::size_t parts = maximal_subtrees(blocking_.blocks(), own_).size();
  for (std::size_t i = 0; i < parts; ++i) parts_.push_back(comm_->part(i).data());
  for (std::size_t i = 0; i < seat.replica.slots(); ++i) slots_.emplace_back(model_.parameters().size());
  for (std::size_t v = 0; v < 1 + slots_.size(); ++v) {
    const std::span<const float> from = replica_vector(v);
    float* const to = own_vector(v).data();
    nn::gather(blocking_.common(), from, to + model_.common().begin);
    for (std::size_t i = 0; i < own_.size(); ++i) {
      nn::gather(blocking_.block(own_[i]), from, to + model_.block(i).begin);
    }
  }
}

std::span<float> Tensor::replica_vector(std::size_t v) {
  return v == 0 ? seat_.replica.model().parameters() : seat_.replica.slot(v - 1);
}

std::span<float> Tensor::own_vector(std::size_t v) { return v == 0 ? model_.parameters() : slots_[v - 1].span(); }

RoundTotals Tensor::round(std::uint64_t /*limit*/) {
  const std::int64_t begin = monotonic_ns();
  const std::uint64_t step = seat_.replica.step();
  // The record has nothing that this step finds out, so it travels while the step is computed.
  StepRecord::write(record_, StepRecord::bytes(speakers_), seat_.wanted_bits(), {}, {});
  comm_->post(record_);
  BatchReader& reader = readers_[step % 2];
  const nn::Batch& batch = reader.read(step);
  double wait = 0;
  const auto waited = [&](const auto& what) {
    const std::int64_t from = monotonic_ns();
    what();
    wait += seconds_between(from, monotonic_ns());
  };
  const nn::BlockSums sums{.parts = parts_,
                           .total = comm_->result().data(),
                           .begins = sums_,
                           .start =
                               [&](std::size_t sum) {
                                 comm_->start(sum);
                                 if (comm_->size() > 1) readers_[(step + 1) % 2].read(step + 1);
                               },
                           .wait = [&](std::size_t sum) { waited([&] { comm_->wait(sum); }); }};
  model_.backprop(batch, sums, losses_);

  StepTotals totals;
  waited([&] { totals = read_records(speakers_, comm_->collect()); });
  totals.loss = tree_sum(losses_);
  totals.weight = tree_sum(reader.segment_weights());
  const auto bad = std::ranges::find_if(losses_, [](double loss) { return !std::isfinite(loss); });
  if (bad != losses_.end()) totals.bad_shard = static_cast<std::uint32_t>(bad - losses_.begin());
  check_finite(totals, step + 1, step + 1);
  double squared = 0;
  if (seat_.config.optimizer.clip_norm > 0) waited([&] { squared = squares(); });
  apply(totals, squared);
  return {.steps = 1,
          .samples = reader.samples_of_step(),
          .loss = totals.loss,
          .weight = totals.weight,
          .bits = totals.bits,
          .busy = seconds_between(begin, monotonic_ns()) - wait,
          .wait = wait};
}

// Of the whole gradient: everybody has the common part, and each tells the others what its blocks come to.
double Tensor::squares() {
  const std::span<const float> gradient = model_.gradient();
  const auto of = [&](const nn::ElementRange& range) {
    return optim::sum_of_squares(gradient.subspan(range.begin, range.end - range.begin));
  };
  std::vector<double> own;
  for (std::size_t i = 0; i < own_.size(); ++i) own.push_back(of(model_.block(i)));
  std::vector<std::uint32_t> sizes(seat_.group.size, 0);
  for (const std::uint32_t rank : seat_.group.block_owner) sizes[rank] += sizeof(double);
  const ByteView all = comm_->gather(std::as_bytes(std::span<const double>(own)), sizes);
  std::vector<double> blocks(blocking_.blocks());
  std::size_t at = 0;
  for (std::uint32_t rank = 0; rank < seat_.group.size; ++rank) {
    for (const std::uint32_t block : seat_.group.blocks_of(rank)) {
      std::memcpy(&blocks[block], all.data() + at, sizeof(double));
      at += sizeof(double);
    }
  }
  double sum = of(model_.common());
  for (const double block : blocks) sum += block;
  return sum;
}

void Tensor::apply(const StepTotals& totals, double squared) {
  const std::uint64_t step = seat_.replica.step();
  const optim::OptimizerSpec& optimizer = seat_.config.optimizer;
  const optim::StepFactors factors{
      .step = step + 1,
      .lr = optim::learning_rate(schedule_, step),
      .gradient_scale = optim::gradient_scale(totals.weight, squared, optimizer.clip_norm)};
  const std::span<float> parameters = model_.parameters();
  for_ranges(seat_.replica.workers(), {0, parameters.size()}, [&](std::uint64_t begin, std::uint64_t end) {
    std::array<std::span<float>, kMostSlots> slots;
    for (std::size_t i = 0; i < slots_.size(); ++i) slots[i] = slots_[i].span().subspan(begin, end - begin);
    optim::update(optimizer, factors, parameters.subspan(begin, end - begin),
                  model_.gradient().subspan(begin, end - begin), std::span(slots).first(slots_.size()));
  });
}

// All have all shards; who has more blocks is faster.
std::vector<std::uint64_t> Tensor::judging_shares(const Group& group, const data::Manifest& /*manifest*/) const {
  std::vector<std::uint64_t> shares(group.size);
  for (const std::uint32_t rank : group.block_owner) ++shares[rank];
  return shares;
}

// Every rank may judge, so parameters go to everybody then; a state that is saved goes to rank 0.
void Tensor::settle(Whole what) {
  const std::size_t vectors = what == Whole::judge ? 1 : 1 + slots_.size();
  const std::uint32_t me = seat_.group.rank;
  const auto takes = [&](std::uint32_t rank) { return what != Whole::save || rank == 0; };
  for (std::uint32_t i = 1; i < seat_.group.size; ++i) {  // each begins with another one
    const std::uint32_t to = (me + i) % seat_.group.size;
    if (takes(to)) send_blocks(to, vectors);
  }
  if (!takes(me)) return;
  for (std::size_t v = 0; v < vectors; ++v) {
    const float* const from = own_vector(v).data();
    nn::scatter(blocking_.common(), from + model_.common().begin, replica_vector(v));
    for (std::size_t i = 0; i < own_.size(); ++i) {
      nn::scatter(blocking_.block(own_[i]), from + model_.block(i).begin, replica_vector(v));
    }
  }
  for (std::uint32_t rank = 0; rank < seat_.group.size; ++rank) {
    if (rank != me) take_blocks(rank, vectors);
  }
  if (what != Whole::leave || seat_.group.size == 1) return;
  // Nobody goes before everybody has everything.
  const std::vector<std::uint32_t> one_each(seat_.group.size, 1);
  const std::byte here{1};
  comm_->gather({&here, 1}, one_each);
}

std::uint64_t Tensor::tag(std::uint32_t block) const {
  return std::uint64_t{block} << 32 | (seat_.replica.step() & UINT32_MAX);
}

void Tensor::send_blocks(std::uint32_t to, std::size_t vectors) {
  for (std::size_t v = 0; v < vectors; ++v) {
    for (std::size_t i = 0; i < own_.size(); ++i) {
      const nn::ElementRange range = model_.block(i);
      transfers_.send(to, tag(own_[i]), std::as_bytes(own_vector(v).subspan(range.begin, range.end - range.begin)));
    }
  }
}

void Tensor::take_blocks(std::uint32_t from, std::size_t vectors) {
  for (std::size_t v = 0; v < vectors; ++v) {
    for (const std::uint32_t block : seat_.group.blocks_of(from)) {
      incoming_.resize(blocking_.block_floats(block));
      transfers_.take(from, tag(block), std::as_writable_bytes(std::span(incoming_)));
      nn::scatter(blocking_.block(block), incoming_.data(), replica_vector(v));
    }
  }
}

}  // namespace dl::train
