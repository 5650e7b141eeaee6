// SPDX-License-Identifier: MIT
#include "train/pipeline.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/clock.h"
#include "base/error.h"
#include "optim/squares.h"
#include "train/pipeline_order.h"

namespace dl::train {

namespace {

// The coordinator's word is checked once; everything else follows from it.
const Seat& checked(const Seat& seat) {
  const Group& group = seat.group;
  const std::vector<std::uint32_t>& stages = group.stage_layers;
  const std::size_t layers = seat.replica.model().spec().layers.size();
  const std::uint64_t sum = std::accumulate(stages.begin(), stages.end(), std::uint64_t{0});
  if (stages.empty() || sum != layers || std::ranges::count(stages, 0U) > 0 || group.size % stages.size() != 0) {
    fail(Exit::disagree, "{} stages with {} of {} layers for {} ranks are no pipeline", stages.size(), sum,
         layers, group.size);
  }
  const std::size_t columns = group.size / stages.size();
  for (const std::uint32_t owner : group.owner) {
    if (owner >= columns) fail(Exit::disagree, "rank {} has a shard, but is not of the first stage", owner);
  }
  return seat;
}

nn::LayerRange layers_of(const Group& group, std::uint32_t stage) {
  const auto begin = group.stage_layers.begin();
  const std::uint32_t first = std::accumulate(begin, begin + stage, 0U);
  return {first, first + group.stage_layers[stage]};
}

std::vector<nn::ElementRange> ranges_of(const Group& group, const nn::ModelSpec& spec) {
  std::vector<nn::ElementRange> ranges;
  std::uint64_t at = 0;
  for (std::uint32_t k = 0; k < group.stage_layers.size(); ++k) {
    const nn::LayerRange layers = layers_of(group, k);
    nn::ElementRange& range = ranges.emplace_back(nn::ElementRange{at, at});
    for (std::uint32_t l = layers.begin; l < layers.end; ++l) {
      const nn::DenseSpec& dense = spec.layers[l];
      range.end += (std::uint64_t{dense.inputs} + 1) * dense.outputs;
    }
    at = range.end;
  }
  return ranges;
}

// Column by column what its ranks add.
comm::SumPlan columns_plan(const Group& group, std::uint32_t columns) {
  comm::SumPlan plan;
  plan.shards = static_cast<std::uint32_t>(group.owner.size());
  for (std::uint32_t c = 0; c < columns; ++c) {
    plan.parts_of_rank.push_back(maximal_subtrees(plan.shards, group.shards_of(c)));
  }
  return plan;
}

// The stages add by messages, so the group's own sums have nothing to do.
comm::SumPlan messages_plan(const Group& speakers) {
  comm::SumPlan plan;
  plan.parts_of_rank.resize(speakers.size);
  plan.record_bytes = StepRecord::bytes(speakers);
  plan.message_bytes = Transfers::kMessageBytes;
  return plan;
}

Group last_stage_speaks(Group group, std::uint32_t stages) {
  const std::uint32_t columns = group.size / stages;
  for (std::uint32_t& owner : group.owner) owner += (stages - 1) * columns;
  return group;
}

std::span<std::byte> bytes_of(std::span<float> values) { return std::as_writable_bytes(values); }

}  // namespace

Pipeline::Pipeline(const Seat& seat)
    : seat_(checked(seat)),
      stages_(static_cast<std::uint32_t>(seat.group.stage_layers.size())),
      columns_(seat.group.size / stages_),
      stage_(seat.group.rank / columns_),
      column_(seat.group.rank % columns_),
      shards_(seat.group.shards_of(column_)),
      speakers_(last_stage_speaks(seat.group, stages_)),
      ranges_(ranges_of(seat.group, seat.replica.model().spec())),
      reader_(seat.data, first() ? shards_ : std::vector<std::uint32_t>(), seat.config.seed, seat.config.batch),
      layers_(seat.replica.model(), layers_of(seat.group, stage_)),
      comm_(seat.connect(messages_plan(speakers_))),
      transfers_(*comm_),
      schedule_(seat.config.schedule),
      parts_(columns_plan(seat.group, columns_)),
      tree_(static_cast<std::uint32_t>(seat.group.owner.size()), parts_.ranges()),
      gradient_(seat.replica.model().parameters().size()),
      theirs_(parts_.count()) {
  schedule_.total = seat.config.total_steps(seat.data.manifest().training_samples());
  for (const std::uint32_t part : parts_.of_rank(column_)) part_sizes_.push_back(parts_.ranges()[part].size());
  if (columns_ > 1) {
    for (std::size_t i = 0; i < part_sizes_.size(); ++i) partials_.emplace_back(gradient_.size());
  }
}

std::uint64_t Pipeline::tag(Kind kind, std::uint64_t number) const {
  return std::uint64_t{static_cast<std::uint8_t>(kind)} << 56 | number << 32 |
         (seat_.replica.step() & UINT32_MAX);
}

optim::HeldRange Pipeline::held(const nn::ElementRange& range) const {
  return {range.begin, range.end, ranges_.back().end};
}

// From the manifest alone, so that every stage knows what is due.
void Pipeline::plan_step() {
  const data::Manifest& manifest = seat_.data.manifest();
  const std::uint64_t steps = reader_.steps_per_epoch();
  rows_.clear();
  for (const std::uint32_t shard : shards_) {
    const auto samples = static_cast<std::uint32_t>(manifest.shards[shard].samples);
    const data::Positions place = data::positions_of_step(samples, seat_.replica.step() % steps, steps);
    rows_.push_back(place.end - place.begin);
  }
  layers_.begin(rows_);
  losses_.assign(last() ? rows_.size() : 0, 0);
  weights_.assign(losses_.size(), 0);
}

RoundTotals Pipeline::round(std::uint64_t /*limit*/) {
  const std::int64_t begin = monotonic_ns();
  const double waited_before = transfers_.waited();
  const nn::Batch& batch = reader_.read(seat_.replica.step());
  plan_step();
  std::vector<std::uint32_t> segments;  // that have rows
  for (std::uint32_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i] > 0) segments.push_back(i);
  }
  for (const Turn& turn :
       one_forward_one_backward(stage_, stages_, static_cast<std::uint32_t>(segments.size()))) {
    const std::uint32_t segment = segments[turn.micro_batch];
    turn.forward ? forward(batch, segment) : backward(segment);
  }
  StepRecord::write(record_, StepRecord::bytes(speakers_), seat_.wanted_bits(), losses_, weights_);
  comm_->post(record_);

  std::vector<float*> pointers;
  for (linalg::Buffer& partial : partials_) pointers.push_back(partial.data());
  if (columns_ == 1) pointers.push_back(gradient_.data());
  layers_.gradient(part_sizes_, pointers);
  add_columns();

  const std::int64_t computed = monotonic_ns();
  const StepTotals totals = read_records(speakers_, comm_->collect());
  check_finite(totals, seat_.replica.step() + 1, seat_.replica.step() + 1);
  const double squared = seat_.config.optimizer.clip_norm > 0 ? squares() : 0;
  const std::int64_t agreed = monotonic_ns();
  apply(totals, squared);
  const double wait = transfers_.waited() - waited_before + seconds_between(computed, agreed);
  return {.steps = 1,
          .samples = reader_.samples_of_step(),
          .loss = totals.loss,
          .weight = totals.weight,
          .bits = totals.bits,
          .busy = seconds_between(begin, monotonic_ns()) - wait,
          .wait = wait};
}

void Pipeline::forward(const nn::Batch& batch, std::uint32_t segment) {
  const std::size_t rows = rows_[segment];
  const std::uint32_t shard = shards_[segment];
  std::span<const float> x;
  if (first()) {
    const std::size_t width = layers_.inputs();
    x = std::span(batch.features).subspan(batch.offsets[segment] * width, rows * width);
  } else {
    incoming_.resize(rows * layers_.inputs());
    transfers_.take(rank_of(stage_ - 1), tag(Kind::activations, shard), bytes_of(incoming_));
    x = incoming_;
  }
  outgoing_.resize(last() ? 0 : rows * layers_.outputs());
  layers_.forward(segment, x, outgoing_);
  if (!last()) {
    transfers_.send(rank_of(stage_ + 1), tag(Kind::activations, shard), std::as_bytes(std::span(outgoing_)));
  }
  if (first()) {
    write_targets(batch, segment);
    if (!last()) transfers_.send(rank_of(stages_ - 1), tag(Kind::targets, shard), bytes_);
  }
  if (!last()) return;
  if (!first()) {
    bytes_.resize(rows * target_bytes());
    transfers_.take(rank_of(0), tag(Kind::targets, shard), bytes_);
  }
  read_targets(segment);
  losses_[segment] = layers_.loss(segment, targets_);
}

void Pipeline::backward(std::uint32_t segment) {
  const std::size_t rows = rows_[segment];
  const std::uint32_t shard = shards_[segment];
  incoming_.resize(last() ? 0 : rows * layers_.outputs());
  if (!last()) transfers_.take(rank_of(stage_ + 1), tag(Kind::gradients, shard), bytes_of(incoming_));
  outgoing_.resize(first() ? 0 : rows * layers_.inputs());
  layers_.backward(segment, incoming_, outgoing_);
  if (!first()) {
    transfers_.send(rank_of(stage_ - 1), tag(Kind::gradients, shard), std::as_bytes(std::span(outgoing_)));
  }
}

// A row's class or wanted numbers, and its weight.
std::size_t Pipeline::target_bytes() const {
  const nn::Ends& ends = seat_.config.ends;
  return 4 * (ends.loss == nn::Loss::softmax_cross_entropy ? 2 : std::size_t{ends.outputs} + 1);
}

// All targets of the segment, then all weights.
void Pipeline::write_targets(const nn::Batch& batch, std::uint32_t segment) {
  bytes_.clear();
  const std::size_t outputs = seat_.config.ends.outputs;
  for (std::uint32_t row = batch.offsets[segment]; row < batch.offsets[segment + 1]; ++row) {
    if (!batch.classes.empty()) {
      put(bytes_, batch.classes[row]);
    } else {
      for (std::size_t o = 0; o < outputs; ++o) put(bytes_, batch.numbers[row * outputs + o]);
    }
  }
  for (std::uint32_t row = batch.offsets[segment]; row < batch.offsets[segment + 1]; ++row) {
    put(bytes_, batch.weights.empty() ? 1.0F : batch.weights[row]);
  }
}

void Pipeline::read_targets(std::uint32_t segment) {
  const nn::Ends& ends = seat_.config.ends;
  const std::uint32_t rows = rows_[segment];
  const bool classes = ends.loss == nn::Loss::softmax_cross_entropy;
  ByteReader reader(bytes_, "the targets of a shard");
  targets_.rows = rows;
  targets_.offsets = {0, rows};
  targets_.classes.resize(classes ? rows : 0);
  targets_.numbers.resize(classes ? 0 : std::size_t{rows} * ends.outputs);
  targets_.weights.resize(rows);
  for (std::uint32_t& label : targets_.classes) {
    label = reader.get<std::uint32_t>();
    if (label >= ends.outputs) {
      fail(Exit::disagree, "rank {} sent class {} of {} for shard {}", rank_of(0), label, ends.outputs,
           shards_[segment]);
    }
  }
  for (float& number : targets_.numbers) number = reader.get<float>();
  for (float& weight : targets_.weights) weights_[segment] += weight = reader.get<float>();
}

// Each column adds a slice of the stage's elements and tells the others the sum.
void Pipeline::add_columns() {
  if (columns_ == 1) return;
  const nn::ElementRange& range = ranges_[stage_];
  const auto slice = [&](std::uint64_t column) {
    const std::uint64_t length = range.end - range.begin;
    return nn::ElementRange{range.begin + length * column / columns_,
                            range.begin + length * (column + 1) / columns_};
  };
  const auto cut = [](linalg::Buffer& vector, const nn::ElementRange& at) {
    return vector.span().subspan(at.begin, at.end - at.begin);
  };
  const auto others = [&](const auto& work) {
    for (std::uint32_t c = 0; c < columns_; ++c) {
      if (c != column_) work(c, stage_ * columns_ + c);
    }
  };
  const nn::ElementRange mine = slice(column_);
  const std::span<const std::uint32_t> my_parts = parts_.of_rank(column_);
  std::vector<const float*> operands(parts_.count());
  for (std::size_t i = 0; i < my_parts.size(); ++i) {
    operands[my_parts[i]] = cut(partials_[i], mine).data();
    others([&](std::uint32_t column, std::uint32_t rank) {
      transfers_.send(rank, tag(Kind::part, my_parts[i]), bytes_of(cut(partials_[i], slice(column))));
    });
  }
  others([&](std::uint32_t column, std::uint32_t rank) {
    for (const std::uint32_t part : parts_.of_rank(column)) {
      theirs_[part].resize(mine.end - mine.begin);
      transfers_.take(rank, tag(Kind::part, part), bytes_of(theirs_[part]));
      operands[part] = theirs_[part].data();
    }
  });
  tree_.add(operands, cut(gradient_, mine).data(), mine.end - mine.begin);
  others([&](std::uint32_t, std::uint32_t rank) {
    transfers_.send(rank, tag(Kind::total, 0), bytes_of(cut(gradient_, mine)));
  });
  others([&](std::uint32_t column, std::uint32_t rank) {
    transfers_.take(rank, tag(Kind::total, 0), bytes_of(cut(gradient_, slice(column))));
  });
}

// Of the whole gradient, in the order in which one node adds them; column 0 speaks for the others.
double Pipeline::squares() {
  std::vector<std::uint32_t> sizes(seat_.group.size, 0);
  std::vector<optim::HeldRange> all;
  for (std::uint32_t k = 0; k < stages_; ++k) {
    all.push_back(held(ranges_[k]));
    sizes[k * columns_] = optim::squares_share_bytes(all.back());
  }
  bytes_.clear();
  if (column_ == 0) {
    const nn::ElementRange& range = ranges_[stage_];
    optim::write_squares_share(all[stage_], gradient_.span().subspan(range.begin, range.end - range.begin),
                               bytes_);
  }
  return optim::sum_of_shares(all, comm_->gather(bytes_, sizes));
}

void Pipeline::apply(const StepTotals& totals, double squared) {
  const std::uint64_t step = seat_.replica.step();
  const float clip = seat_.config.optimizer.clip_norm;
  const optim::StepFactors factors{.step = step + 1,
                                   .lr = optim::learning_rate(schedule_, step),
                                   .gradient_scale = optim::gradient_scale(totals.weight, squared, clip)};
  seat_.replica.update(factors, ranges_[stage_], gradient_.span());
}

std::vector<std::uint64_t> Pipeline::judging_shares(const Group& group, const data::Manifest& /*manifest*/) const {
  std::vector<std::uint64_t> shares(group.size);
  std::fill_n(shares.begin(), columns_, 1);
  return shares;
}

void Pipeline::settle(Whole what) {
  if (stages_ == 1) return;
  if (what == Whole::leave) {
    for (std::uint32_t k = 0; k < stages_; ++k) {
      if (k != stage_) send_state(rank_of(k), true);
    }
    for (std::uint32_t k = 0; k < stages_; ++k) {
      if (k != stage_) take_state(k, true);
    }
    // Nobody goes before everybody has everything.
    const std::vector<std::uint32_t> one_each(seat_.group.size, 1);
    const std::byte here{1};
    comm_->gather({&here, 1}, one_each);
    return;
  }
  if (what == Whole::save && column_ != 0) return;
  if (!first()) send_state(rank_of(0), what == Whole::save);
  for (std::uint32_t k = 1; first() && k < stages_; ++k) take_state(k, what == Whole::save);
}

// The stage's parameters, and its slots where the state has to be whole.
std::vector<std::span<float>> Pipeline::state_of(std::uint32_t stage, bool whole) {
  const nn::ElementRange& range = ranges_[stage];
  std::vector<std::span<float>> vectors = {seat_.replica.model().parameters()};
  for (std::size_t i = 0; whole && i < seat_.replica.slots(); ++i) vectors.push_back(seat_.replica.slot(i));
  for (std::span<float>& vector : vectors) vector = vector.subspan(range.begin, range.end - range.begin);
  return vectors;
}

void Pipeline::send_state(std::uint32_t to, bool whole) {
  for (const std::span<float> vector : state_of(stage_, whole)) {
    transfers_.send(to, tag(Kind::state, stage_), std::as_bytes(vector));
  }
}

void Pipeline::take_state(std::uint32_t stage, bool whole) {
  for (const std::span<float> vector : state_of(stage, whole)) {
    transfers_.take(rank_of(stage), tag(Kind::state, stage), bytes_of(vector));
  }
}

}  // namespace dl::train
