// SPDX-License-Identifier: MIT
#include "training.h"

#include <algorithm>

#include "checkpoint/checkpoint.h"
#include "coord/server.h"
#include "data/sampler.h"
#include "display.h"
#include "hard_stop.h"
#include "ledger.h"
#include "modes.h"
#include "options.h"
#include "plan.h"
#include "run_directory.h"
#include "train/run_record.h"
#include "train/update_log.h"

namespace dl::tool {

namespace {

// Whether to throw away what is there is not for dl-coord to say: what cannot be read may be whole.
[[noreturn]] void refuse_to_begin_again(const fs::path& run, const std::vector<Error>& passed_over) {
  const bool damaged = std::ranges::all_of(passed_over, [](const Error& bad) { return bad.code() == Exit::data; });
  fail(damaged ? Exit::data : Exit::io,
       "{}: {} there, and none can be loaded ({}); to begin again at step 0, move step-*.safetensors away or give "
       "another -o", run.string(),
       passed_over.size() == 1 ? "a checkpoint is" : fmt::format("{} checkpoints are", passed_over.size()),
       passed_over.front().what());
}

// The newest checkpoint that loads becomes the state to go on from.
void resume(const RunDirectory& run, const checkpoint::Store& store, train::RunRecord& record,
            coord::ServerSettings& settings, const cli::Streams& streams) {
  std::vector<Error> passed_over;
  const auto found = store.newest(passed_over);
  for (const Error& bad : passed_over) streams.alarm(fmt::format("passed over: {}", bad.what()));
  if (!found && !passed_over.empty()) refuse_to_begin_again(run.path(), passed_over);
  if (!found) return;
  train::Snapshot snapshot = train::to_snapshot(record, found->checkpoint, found->path.string());
  record.arithmetic = JsonObject(found->checkpoint.metadata, found->path.string()).text("arithmetic");
  settings.plan.arithmetic = record.arithmetic;
  settings.plan.kept_step = static_cast<std::int64_t>(snapshot.step);
  settings.kept = std::make_shared<const coord::State>(coord::State{
      snapshot.step, coord::StateReason::asked, std::move(snapshot.cursor), std::move(snapshot.values)});
  streams.log().info("{}: goes on from step {}", run.path().string(), snapshot.step);
}

void begin(const Options& o, coord::ServerSettings& settings) {
  if (!o.initial) {
    fail(Exit::no_input, "{}; {} has no checkpoint of its own to go on from", o.initial_missing, o.run.string());
  }
  settings.plan.kept_step = 0;
  settings.kept = std::make_shared<const coord::State>(
      coord::State{0, coord::StateReason::asked, o.initial->cursor, o.initial->values});
}

}  // namespace

Exit train_run(const cli::Given& given, cli::Streams& streams) {
  Options o = read_options(given);
  const Log& log = streams.log();
  const std::string node = o.spawn > 0 ? find_node() : "";
  RunDirectory run(o);
  if (!o.config.refit_of.empty() && !run.done()) {
    use_refit(o, run.path(), log);
    run.use_data(o.config);
  }
  Display display(streams, o.json,
                  {o.config.schedule.total, data::steps_per_epoch(o.manifest.training_samples(), o.config.batch),
                   o.config.epochs, wished_collective(o.config)});
  if (const auto done = run.done()) {
    log.info("{}: complete; --epochs or --steps can make it longer", run.path().string());
    display.event(*done);
    return Exit::ok;
  }
  net::Loop loop;
  coord::Server server(loop, o.listen, log, run.credentials(o));
  const HardStop hard_stop(streams);
  if (o.spawn > 0) {
    std::vector<std::string> command = {node};
    command.insert(command.end(), o.node_words.begin(), o.node_words.end());
    std::vector<std::string> variables;
    if (o.by_key()) variables.push_back("DL_KEY_FILE=" + run.key_file().string());
    server.spawn(std::move(command), std::move(variables), o.spawn);
  }
  run.begin(net::to_string(server.address()));
  introduce(o, log);
  log.info("{}: nodes connect to {}", run.path().string(), net::to_string(server.address()));
  if (o.insecure) {
    const std::string text = fmt::format("--insecure: nothing is encrypted, and whoever reaches {} can join this run",
                                         net::to_string(server.address()));
    net::is_loopback(server.address()) ? log.warning("{}", text) : streams.alarm(text);
  }

  checkpoint::Store store(run.path(), o.keep);
  train::RunRecord record{run.run_id(), o.config, o.manifest.schema.to_json(), o.config.arithmetic};
  coord::ServerSettings settings;
  settings.plan = plan_of(o, run.run_id(), run.generation() + 1);
  settings.files = files_of(o);
  settings.state_floats = record.state_floats();
  settings.deadline_ns = o.deadline_ns;
  settings.kept_back_ns = o.kept_back_ns;
  if (run.begun_before()) resume(run, store, record, settings, streams);
  if (!settings.kept && !o.config.init_sha256.empty()) begin(o, settings);
  begin_ledger(run.ledger(), o, record, settings);
  std::optional<train::UpdateLog> updates;
  if (o.config.mode == "async") {
    updates.emplace(run.path() / train::kUpdateLogName, train::logged_run(run.run_id(), o.config),
                    settings.kept ? settings.kept->step : 0);
    settings.append = [&](const coord::Updates& told) {
      updates->append(told.first, told.last, as_bytes_of(std::string_view(told.record)));
    };
  }
  // What one of them cannot do (the disk is full) keeps no other from its part.
  settings.announce = [&](const Json& event, const coord::Coordinator& now) {
    std::optional<Error> failure;
    const auto part = [&](const auto& work) {
      try {
        work();
      } catch (const Error& error) {
        if (!failure) failure = error;
      }
    };
    part([&] { run.append_metrics(event); });
    part([&] {
      if (auto line = ledger_entry(event, now)) run.ledger().append(std::move(*line));
      if (event.at("event") == "done") run.finish(event);
    });
    part([&] { if (updates && event.at("event") == "group") updates->go_on_from(event.at("step").get<std::uint64_t>()); });
    part([&] { display.event(event); });
    if (failure) throw *failure;
  };
  settings.record = [&](std::uint32_t generation) { run.begin_generation(generation); };
  settings.live = [&](const coord::Progress& progress) { display.live(progress); };
  settings.status = [&](const Json& status) { run.write_status(status); };
  settings.write = [&](const coord::State& state, coord::StateReason reason, const std::string& arithmetic) {
    train::RunRecord now = record;
    now.arithmetic = arithmetic;
    if (updates) updates->sync();  // before what can only be done again by it
    const checkpoint::Checkpoint made = train::to_checkpoint(now, state.cursor, state.values);
    if (reason == coord::StateReason::best) return store.commit_best(made).string();
    run.ledger().append(ledger_checkpoint(state.step, made.parameters));
    run.ledger().sync();
    return store.commit(state.step, made).string();
  };
  const coord::Ended ended = server.run(std::move(settings));
  try {
    run.end(ended.code);
  } catch (const Error& error) {
    if (ended.code == 0) throw;
    log.warning("{}", error.what());
  }
  if (ended.code != 0) fail(static_cast<Exit>(ended.code), "{}", ended.text);
  return Exit::ok;
}

}  // namespace dl::tool
