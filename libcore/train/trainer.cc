// SPDX-License-Identifier: MIT
#include "train/trainer.h"

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "data/sampler.h"
#include "train/judge.h"
#include "train/round_times.h"

namespace dl::train {

struct Trainer::State {
  const RunConfig& config;
  Replica& replica;
  TrainingData& data;
  const Group group;
  const Hooks& hooks;
  RoundTimes times;
  std::unique_ptr<Strategy> strategy;
  std::uint64_t total_steps;
  std::uint64_t per_epoch;
  optim::ScheduleSpec schedule;
  Cursor ahead;         // the replica's cursor, and what closing an epoch made of it
  std::uint64_t epoch = 0;              // closed last
  Json held_out = Json::object();       // what its judgement said: "test_accuracy", ...
  bool whole = false;                   // every rank has the whole state of the step

  State(const RunConfig& c, Replica& r, TrainingData& d, const Group& g, const Hooks& h)
      : config(c),
        replica(r),
        data(d),
        group(g),
        hooks(h),
        times(g.rank, g.size),
        total_steps(c.total_steps(d.manifest().training_samples())),
        per_epoch(data::steps_per_epoch(d.manifest().training_samples(), c.batch)),
        schedule(c.schedule) {
    schedule.total = total_steps;
  }

  bool at_border() const { return ahead.step % per_epoch == 0 || ahead.step >= total_steps; }
  // Updates until something has to be done between two of them.
  std::uint64_t until_border() const {
    std::uint64_t limit = std::min(total_steps - ahead.step, per_epoch - ahead.step % per_epoch);
    if (const std::uint64_t every = config.checkpoint_every; every > 0) {
      limit = std::min(limit, every - ahead.step % every);
    }
    // Elsewhere where a round ends would reach the parameters (local), or it is a step.
    if (const std::uint64_t every = config.mirror_every; every > 0 && config.mode == "async") {
      limit = std::min(limit, every - ahead.step % every);
    }
    return limit;
  }
  bool checkpoint_due() const {
    return config.checkpoint_every > 0 ? ahead.step % config.checkpoint_every == 0 : at_border();
  }

  RoundTotals round();
  void settle(Whole what);
  void mirror(std::uint64_t steps);
  void refuse(const Refusal& refusal, std::uint64_t steps);
  std::uint64_t kept_before(std::uint64_t step) const;
  void save(coord::StateReason reason);
  void close_epoch();
  Json judge_part(bool validation, double* loss);
  void report_epoch();
};

RoundTotals Trainer::State::round() {
  const std::int64_t begin = monotonic_ns();
  whole = false;
  const RoundTotals totals = strategy->round(until_border());
  const double seconds = seconds_between(begin, monotonic_ns());
  times.add(totals.steps, seconds, totals.busy, totals.wait, totals.busy_before, totals.fixed);
  ahead.seconds += seconds;
  ahead.step += totals.steps;
  ahead.samples += totals.samples;
  ahead.epoch_loss += totals.loss;
  ahead.epoch_weight += totals.weight;
  if (totals.refusal) refuse(*totals.refusal, totals.steps);
  if ((checkpoint_due() || at_border()) && !replica.finite()) refuse({"state", std::nullopt}, totals.steps);
  if (checkpoint_due() && config.on_nan == "rollback") replica.keep_for_rollback();
  replica.advance(ahead);
  return totals;
}

// The cursor is behind the round already.
void Trainer::State::refuse(const Refusal& refusal, std::uint64_t steps) {
  const std::uint64_t first = ahead.step - steps + 1;
  const std::string when = steps == 1 ? fmt::format("step {}", first) : fmt::format("steps {} to {}", first, ahead.step);
  const bool state = refusal.what == std::string_view("state");
  const std::string reason =
      state ? fmt::format("after {} the parameters, or what the optimizer remembers, are not finite", when)
            : fmt::format("the {} of {} is not finite in {}", refusal.what,
                          refusal.shard ? fmt::format("shard {}", *refusal.shard) : "all shards together", when);
  const char* advice = "a smaller --lr or --clip may help";
  if (config.on_nan == "stop") {
    fail(Exit::data, "{}: nothing of {} is kept; {}", reason, steps == 1 ? "that step" : "them", advice);
  }
  std::uint64_t left_out = steps;
  if (config.on_nan == "rollback") {
    replica.roll_back();
    left_out = ahead.step - std::max(kept_before(ahead.step), ahead.refused_step);  // those before are counted
  } else if (state || !replica.finite()) {
    fail(Exit::data, "{}: --on-nan skip cannot take back the update that did it; --on-nan rollback can, {}", reason, advice);
  }
  ahead.refused += left_out;
  ahead.refused_step = ahead.step;
  if (group.rank != 0) return;
  hooks.report({{"event", "step_refused"},
                {"step", ahead.step},
                {"shard", refusal.shard ? Json(*refusal.shard) : Json(nullptr)},
                {"reason", reason},
                {"left_out", left_out}});
}

// The newest step before this one after which a checkpoint was due.
std::uint64_t Trainer::State::kept_before(std::uint64_t step) const {
  const std::uint64_t every = config.checkpoint_every > 0 ? config.checkpoint_every : per_epoch;
  return (step - 1) / every * every;
}

void Trainer::State::settle(Whole what) {
  if (whole) return;  // on every rank, or on none
  strategy->settle(what);
  whole = what == Whole::leave;
}

// After a round of so many steps.
void Trainer::State::mirror(std::uint64_t steps) {
  const std::uint64_t every = config.mirror_every;
  if (every == 0 || ahead.step / every == (ahead.step - steps) / every || ahead.step >= total_steps) return;
  settle(Whole::leave);
  replica.keep_mirror();
}

void Trainer::State::save(coord::StateReason reason) {
  settle(Whole::save);
  if (group.rank != 0) return;
  if (checkpoint_due() || replica.finite()) {
    hooks.save(reason);
  } else {  // one that was asked for can wait
    hooks.report({{"event", "checkpoint_left_out"},
                  {"step", ahead.step},
                  {"reason", "the parameters, or what the optimizer remembers, are not finite"}});
  }
}

Json Trainer::State::judge_part(bool validation, double* loss) {
  const data::Schema& schema = data.manifest().schema;
  const auto& entries = validation ? data.manifest().validation : data.manifest().test;
  const std::vector<std::uint64_t> shares = strategy->judging_shares(group, data.manifest());
  std::span<const data::Shard> files;
  if (shares[group.rank] > 0) files = validation ? data.validation() : data.test();
  const eval::Score score = judge(replica.model(), entries, files, schema, strategy->communicator(), shares);
  const std::string prefix = validation ? "validation_" : "test_";
  Json json{{prefix + "loss", score.mean_loss()}};
  if (schema.task == data::Task::classification) {
    json[prefix + "accuracy"] = score.accuracy();
  } else {
    json[prefix + "rmse"] = score.rmse(schema.outputs());
  }
  if (loss != nullptr) *loss = score.mean_loss();
  return json;
}

void Trainer::State::close_epoch() {
  epoch = (ahead.step + per_epoch - 1) / per_epoch;
  const bool last = ahead.step >= total_steps;
  if (ahead.epoch_weight > 0) ahead.last_loss = ahead.epoch_loss / ahead.epoch_weight;
  ahead.epoch_loss = ahead.epoch_weight = 0;

  if (last || config.patience > 0 || epoch % std::max<std::uint64_t>(config.eval_every, 1) == 0) {
    held_out = Json::object();
    settle(Whole::judge);
    if (!data.manifest().validation.empty()) {
      double loss = 0;
      held_out.update(judge_part(true, &loss));
      const bool better = !ahead.best_loss || loss < *ahead.best_loss;
      if (better) {
        ahead.best_loss = loss;
        ahead.best_step = ahead.step;
        ahead.stale_epochs = 0;
        save(coord::StateReason::best);
      } else {
        ++ahead.stale_epochs;
        ahead.stopped_early = config.patience > 0 && ahead.stale_epochs >= config.patience;
      }
    }
    if (!data.manifest().test.empty()) held_out.update(judge_part(false, nullptr));
  }
  if (group.rank == 0) report_epoch();
}

void Trainer::State::report_epoch() {
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

Trainer::Trainer(const RunConfig& config, Replica& replica, TrainingData& data, const Group& group,
                 const MakeCommunicator& make_communicator, const Hooks& hooks)
    : state_(std::make_unique<State>(config, replica, data, group, hooks)) {
  State& s = *state_;
  if (config.mirror_every > 0) replica.keep_mirror();  // before the strategy takes it apart
  s.strategy = make_strategy({s.config, s.replica, s.data, s.group, make_communicator, hooks.wanted_bits,
                              hooks.at_work, hooks.updates});
}

Trainer::~Trainer() = default;

Json Trainer::summary() const {
  const Cursor& at = state_->ahead;
  Json json{{"epochs", state_->epoch},
            {"steps", at.step},
            {"samples", at.samples},
            {"seconds", at.seconds},
            {"samples_per_second", at.seconds > 0 ? static_cast<double>(at.samples) / at.seconds : 0},
            {"train_loss", at.last_loss}};
  if (at.refused > 0) json["steps_refused"] = at.refused;
  json.update(state_->held_out);
  return json;
}

Ending Trainer::run() {
  State& s = *state_;
  s.ahead = s.replica.cursor();
  if (s.ahead.step > 0 && s.at_border()) s.close_epoch();
  while (s.ahead.step < s.total_steps && !s.ahead.stopped_early) {
    const bool first = s.ahead.step == 0;
    const RoundTotals totals = s.round();
    if (first && s.group.rank == 0) s.hooks.report({{"event", "first_step"}, {"step", s.ahead.step}});
    s.hooks.progress({.step = s.ahead.step,
                      .loss = totals.weight > 0 ? totals.loss / totals.weight : 0,
                      .samples = s.ahead.samples,
                      .train_seconds = s.ahead.seconds,
                      .busy_seconds = s.times.busy(),
                      .wait_seconds = s.times.waiting(),
                      .communicate_seconds = s.times.communicating()});
    if (s.group.rank == 0 && s.group.size > 1 && s.hooks.pace) {
      if (const auto pace = s.times.news(s.group.generation, s.ahead.step)) s.hooks.pace(*pace);
    }
    s.mirror(totals.steps);
    const bool asked = (totals.bits & coord::Signal::kCheckpoint) != 0;
    if ((asked || s.checkpoint_due()) && s.ahead.step < s.total_steps) s.save(coord::StateReason::checkpoint);
    if ((totals.bits & coord::Signal::kPause) != 0 && s.ahead.step < s.total_steps) {
      s.settle(Whole::leave);
      return Ending::paused;
    }
    if (s.at_border()) s.close_epoch();
  }
  s.settle(Whole::leave);
  return Ending::finished;
}

}  // namespace dl::train
