// SPDX-License-Identifier: MIT
#include "train/sync.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/error.h"
#include "train/batch_reader.h"
#include "train/judge.h"

namespace dl::train {

struct Sync::State {
  const RunConfig& config;
  Replica& replica;
  TrainingData& data;
  const Group group;
  const Hooks& hooks;
  BatchReader reader;
  std::vector<std::uint32_t> group_sizes;
  std::unique_ptr<comm::Communicator> comm;  // has the gradients
  std::vector<float*> partials;
  std::uint64_t total_steps;
  optim::ScheduleSpec schedule;
  Cursor ahead;         // the replica's cursor, and what closing an epoch made of it
  std::uint64_t epoch = 0;              // closed last
  Json held_out = Json::object();       // what its judgement said: "test_accuracy", ...
  double busy = 0, wait = 0;
  std::vector<double> losses;
  Bytes record;

  State(const RunConfig& c, Replica& r, TrainingData& d, const Group& g, const Hooks& h)
      : config(c),
        replica(r),
        data(d),
        group(g),
        hooks(h),
        reader(d, g.shards_of(g.rank), c.seed, c.batch),
        group_sizes(g.group_sizes()),
        total_steps(c.total_steps(d.manifest().training_samples())),
        schedule(c.schedule) {
    schedule.total = total_steps;
  }

  void join(const MakeCommunicator& make_communicator) {
    comm = make_communicator(group.sum_plan(replica.model().buckets()));
    for (std::size_t i = 0; i < group_sizes.size(); ++i) partials.push_back(comm->part(i).data());
    losses.resize(group.shards_of(group.rank).size());
  }

  StepTotals step();
  void apply(const StepTotals& totals);
  void close_epoch();
  Json judge_part(std::span<const data::Shard> files, const char* name, double* loss);
  void report_epoch();
};

StepTotals Sync::State::step() {
  const std::int64_t begin = monotonic_ns();
  const nn::Batch& batch = reader.read(replica.step());
  bool posted = false;
  replica.model().backprop(batch, group_sizes, partials, losses, [&](std::size_t bucket) {
    if (!posted) {  // the losses are known by now, the gradients not yet: the record travels first
      StepRecord::write(record, StepRecord::bytes(group), hooks.wanted_bits(), losses,
                        reader.segment_weights());
      comm->post(record);
      posted = true;
    }
    comm->start(bucket);
  });
  const std::int64_t computed = monotonic_ns();
  const StepTotals totals = read_records(group, comm->collect());
  if (totals.bad_shard != UINT32_MAX) {
    fail(Exit::data,
         "the loss of shard {} is not finite in step {}: nothing of that step is kept; "
         "a smaller --lr or --clip may help",
         totals.bad_shard, replica.step() + 1);
  }
  const std::int64_t collected = monotonic_ns();
  apply(totals);
  busy += seconds_between(begin, computed);
  wait += seconds_between(computed, collected);
  ahead.seconds += seconds_between(begin, monotonic_ns());
  return totals;
}

void Sync::State::apply(const StepTotals& totals) {
  const auto buckets = replica.model().buckets();
  const auto wait_for = [&](std::size_t bucket) {
    const std::int64_t from = monotonic_ns();
    comm->wait(bucket);
    wait += seconds_between(from, monotonic_ns());
  };
  optim::StepFactors factors{.step = replica.step() + 1,
                             .lr = optim::learning_rate(schedule, replica.step()),
                             .gradient_scale = 1.0F};
  const bool clips = config.optimizer.clip_norm > 0;
  double squares = 0;
  // An update that has begun must end on every rank, so nothing is applied before all sums are here.
  for (std::size_t b = 0; b < buckets.size(); ++b) wait_for(b);
  const std::span<const float> gradient = comm->result();
  if (clips) squares = optim::sum_of_squares(gradient);
  factors.gradient_scale =
      optim::gradient_scale(totals.weight, squares, config.optimizer.clip_norm);
  replica.update(factors, {0, gradient.size()}, gradient);

  ahead.step += 1;
  ahead.samples += reader.samples_of_step();
  ahead.epoch_loss += totals.loss;
  ahead.epoch_weight += totals.weight;
}

Json Sync::State::judge_part(std::span<const data::Shard> files, const char* name, double* loss) {
  const data::Schema& schema = data.manifest().schema;
  const eval::Score score = judge(replica.model(), files, schema, *comm);
  const std::string prefix = std::string(name) + "_";
  Json json{{prefix + "loss", score.mean_loss()}};
  if (schema.task == data::Task::classification) {
    json[prefix + "accuracy"] = score.accuracy();
  } else {
    json[prefix + "rmse"] = score.rmse(schema.outputs());
  }
  if (loss != nullptr) *loss = score.mean_loss();
  return json;
}

void Sync::State::close_epoch() {
  const std::uint64_t per_epoch = reader.steps_per_epoch();
  epoch = (ahead.step + per_epoch - 1) / per_epoch;
  const bool last = ahead.step >= total_steps;
  if (ahead.epoch_weight > 0) ahead.last_loss = ahead.epoch_loss / ahead.epoch_weight;
  ahead.epoch_loss = ahead.epoch_weight = 0;

  if (last || config.patience > 0 || epoch % std::max<std::uint64_t>(config.eval_every, 1) == 0) {
    held_out = Json::object();
    if (const auto files = data.validation(); !files.empty()) {
      double loss = 0;
      held_out.update(judge_part(files, "validation", &loss));
      const bool better = !ahead.best_loss || loss < *ahead.best_loss;
      if (better) {
        ahead.best_loss = loss;
        ahead.best_step = ahead.step;
        ahead.stale_epochs = 0;
        if (group.rank == 0) hooks.save(coord::StateReason::best);
      } else {
        ++ahead.stale_epochs;
        ahead.stopped_early = config.patience > 0 && ahead.stale_epochs >= config.patience;
      }
    }
    if (const auto files = data.test(); !files.empty()) {
      held_out.update(judge_part(files, "test", nullptr));
    }
  }
  if (group.rank == 0) report_epoch();
}

void Sync::State::report_epoch() {
  Json line{{"event", "epoch"},
            {"epoch", epoch},
            {"step", ahead.step},
            {"samples", ahead.samples},
            {"train_loss", ahead.last_loss},
            {"lr", optim::learning_rate(schedule, ahead.step > 0 ? ahead.step - 1 : 0)}};
  line.update(held_out);
  line["seconds"] = ahead.seconds;
  hooks.report(line);
}

Sync::Sync(const RunConfig& config, Replica& replica, TrainingData& data, const Group& group,
           const MakeCommunicator& make_communicator, const Hooks& hooks)
    : state_(std::make_unique<State>(config, replica, data, group, hooks)) {
  state_->join(make_communicator);
}

Sync::~Sync() = default;

Json Sync::summary() const {
  const Cursor& at = state_->ahead;
  Json json{{"epochs", state_->epoch},
            {"steps", at.step},
            {"samples", at.samples},
            {"seconds", at.seconds},
            {"samples_per_second", at.seconds > 0 ? static_cast<double>(at.samples) / at.seconds : 0},
            {"train_loss", at.last_loss}};
  json.update(state_->held_out);
  return json;
}

Ending Sync::run() {
  State& s = *state_;
  const std::uint64_t per_epoch = s.reader.steps_per_epoch();
  const auto at_border = [&] { return s.ahead.step % per_epoch == 0 || s.ahead.step >= s.total_steps; };
  s.ahead = s.replica.cursor();
  if (s.ahead.step > 0 && at_border()) s.close_epoch();
  while (s.ahead.step < s.total_steps && !s.ahead.stopped_early) {
    const StepTotals totals = s.step();
    s.replica.advance(s.ahead);
    const bool first = s.ahead.step == 1;
    if (first && s.group.rank == 0) s.hooks.report({{"event", "first_step"}, {"step", 1}});
    s.hooks.progress({.step = s.ahead.step,
                      .loss = totals.weight > 0 ? totals.loss / totals.weight : 0,
                      .samples = s.ahead.samples,
                      .train_seconds = s.ahead.seconds,
                      .busy_seconds = s.busy,
                      .wait_seconds = s.wait});
    const bool asked = (totals.bits & coord::Signal::kCheckpoint) != 0;
    const bool due = s.config.checkpoint_every > 0 ? s.ahead.step % s.config.checkpoint_every == 0
                                                   : at_border();
    if (s.group.rank == 0 && (asked || due) && s.ahead.step < s.total_steps) {
      s.hooks.save(coord::StateReason::checkpoint);
    }
    if ((totals.bits & coord::Signal::kPause) != 0 && s.ahead.step < s.total_steps) {
      return Ending::paused;
    }
    if (at_border()) s.close_epoch();
  }
  return Ending::finished;
}

}  // namespace dl::train
