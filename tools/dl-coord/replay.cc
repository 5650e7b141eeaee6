// SPDX-License-Identifier: MIT
#include "replay.h"

#include <set>

#include "base/hash.h"
#include "checkpoint/checkpoint.h"
#include "coord/server.h"
#include "data/sampler.h"
#include "display.h"
#include "hard_stop.h"
#include "net/key.h"
#include "options.h"
#include "plan.h"
#include "train/init.h"
#include "train/run_record.h"
#include "train/update_log.h"

namespace dl::tool {

namespace {

constexpr std::uint64_t kMostRunJson = 16 << 20;

// Everything else is the run's.
void check_options(const cli::Given& given) {
  static const std::set<std::string, std::less<>> known = {"replay", "data", "init", "json", "threads", "kernel",
                                                           "quiet", "verbose", "log-format", "config",
                                                           "tls-cert", "tls-key", "tls-ca"};
  for (const auto& [name, value] : given.values()) {
    if (!known.contains(name)) fail(Exit::usage, "--{} says nothing to --replay: the run is taken as it was", name);
  }
}

struct Replayed {
  std::string run_id;
  Options options;                   // of a run that ends at the checkpoint's step
  train::RunRecord record;
  fs::path checkpoint;
  std::string params_sha256;         // of the checkpoint
  std::optional<train::Snapshot> initial;
};

void read_run(const fs::path& run, Replayed& out) {
  const fs::path file = run / "run.json";
  std::error_code none;
  if (!fs::exists(file, none)) fail(Exit::no_input, "{}: no run in this directory", run.string());
  const Json json = parse_json(read_file(file, kMostRunJson), file.string());
  const JsonObject about(json, file.string());
  out.run_id = about.text("run_id");
  out.options.run = run;
  out.options.config = train::RunConfig::from_json(about.get("config"), file.string() + ": config");
  if (out.options.config.mode == "async") return;
  fail(Exit::usage, "--replay {}: its mode is {}, which keeps no log: the same command gives the same bits",
       run.string(), out.options.config.mode);
}

// Where the data was when the run began, or where it is now.
void read_data(const cli::Given& given, Options& o) {
  const fs::path directory = given.has("data") ? fs::path(given.text("data")) : fs::path(o.config.data);
  const fs::path file = directory / data::kManifestName;
  o.manifest_text = read_file(file, data::kLongestManifest);
  const std::string sha256 = sha256_hex(as_bytes_of(o.manifest_text));
  if (sha256 != o.config.manifest_sha256) {
    fail(Exit::disagree, "{}: its SHA-256 is {}, that of the run's data {}", file.string(), sha256,
         o.config.manifest_sha256);
  }
  o.manifest = data::parse_manifest(o.manifest_text, file.string());
  if (const auto shard = o.config.left_out()) o.manifest = data::without_shard(std::move(o.manifest), *shard);
  o.config.data = fs::canonical(directory).string();
}

// The run ends at its newest checkpoint now; its arithmetic is the one that it had.
std::uint64_t read_checkpoint(Replayed& out, const cli::Streams& streams) {
  std::vector<Error> passed_over;
  const auto found = checkpoint::Store(out.options.run, 1).newest(passed_over);
  for (const Error& bad : passed_over) streams.alarm(fmt::format("passed over: {}", bad.what()));
  if (!found) fail(Exit::no_input, "{}: no checkpoint to compare with", out.options.run.string());
  out.checkpoint = found->path;
  out.params_sha256 = checkpoint::params_sha256(found->checkpoint.parameters);
  out.record.arithmetic = JsonObject(found->checkpoint.metadata, found->path.string()).text("arithmetic");
  return train::to_snapshot(out.record, found->checkpoint, found->path.string()).step;
}

void read_initial(const cli::Given& given, Replayed& out) {
  const std::string& wanted = out.options.config.init_sha256;
  if (wanted.empty()) {
    if (given.has("init")) fail(Exit::usage, "--init: the run began with parameters from its seed");
    return;
  }
  if (!given.has("init")) {
    fail(Exit::usage, "--init is missing: the run began with the parameters of a checkpoint, {}", wanted);
  }
  const fs::path path = checkpoint::find_checkpoint(given.text("init"), false);
  const checkpoint::Checkpoint found = checkpoint::read_checkpoint(path);
  if (const std::string its = checkpoint::params_sha256(found.parameters); its != wanted) {
    fail(Exit::disagree, "--init {}: its parameters are {}, the run began with {}", path.string(), its, wanted);
  }
  out.initial = train::begin_with(out.record, found, "--init " + path.string());
}

Replayed read(const cli::Given& given, const cli::Streams& streams) {
  check_options(given);
  Replayed out;
  Options& o = out.options;
  read_run(given.text("replay"), out);
  read_data(given, o);
  out.record = {out.run_id, o.config, o.manifest.schema.to_json(), o.config.arithmetic};
  const std::uint64_t step = read_checkpoint(out, streams);
  read_initial(given, out);
  const fs::path updates = fs::absolute(o.run / train::kUpdateLogName);
  train::check_updates(updates, train::logged_run(out.run_id, o.config), static_cast<std::uint32_t>(o.manifest.shards.size()), step);

  o.config.replay = updates.string();
  o.config.epochs = 0;
  o.config.steps = o.config.schedule.total = o.config.checkpoint_every = step;
  o.config.mirror_every = 0;
  o.config.patience = 0;  // when the run stopped, the log says
  o.listen = {"127.0.0.1", 0};
  o.spawn = 1;
  read_credentials(given, o);
  std::error_code none;
  o.insecure = !o.certificate && !fs::exists(o.run / "key", none);
  o.node_words = node_words(given, o.insecure);
  o.json = given.flag("json");
  return out;
}

}  // namespace

Exit replay(const cli::Given& given, cli::Streams& streams) {
  const Log& log = streams.log();
  const Replayed run = read(given, streams);
  const Options& o = run.options;
  const std::string node = find_node();
  std::shared_ptr<const net::Credentials> credentials = o.certificate;
  if (o.by_key()) credentials = net::read_key(o.run / "key");
  net::Loop loop;
  coord::Server server(loop, o.listen, log, credentials);
  const HardStop hard_stop(streams);
  std::vector<std::string> command = {node};
  command.insert(command.end(), o.node_words.begin(), o.node_words.end());
  std::vector<std::string> variables;
  if (o.by_key()) variables.push_back("DL_KEY_FILE=" + fs::absolute(o.run / "key").string());
  server.spawn(std::move(command), std::move(variables), 1);

  const std::uint64_t per_epoch = data::steps_per_epoch(o.manifest.training_samples(), o.config.batch);
  Display display(streams, o.json, {o.config.steps, per_epoch, 0});
  coord::ServerSettings settings;
  settings.plan = plan_of(o, run.run_id, 1);
  settings.plan.arithmetic = run.record.arithmetic;
  settings.files = files_of(o);
  settings.state_floats = run.record.state_floats();
  if (run.initial) {
    settings.plan.kept_step = 0;
    settings.kept = std::make_shared<const coord::State>(
        coord::State{0, coord::StateReason::asked, run.initial->cursor, run.initial->values});
  }
  std::string params_sha256;
  settings.announce = [&](const Json& event, const coord::Coordinator& /*now*/) {
    if (event.at("event") == "checkpoint") return;  // it is the run's own
    if (event.at("event") == "done") params_sha256 = event.at("params_sha256").get<std::string>();
    display.event(event);
  };
  settings.live = [&](const coord::Progress& progress) { display.live(progress); };
  settings.write = [&](const coord::State&, coord::StateReason, const std::string&) { return run.checkpoint.string(); };
  const coord::Ended ended = server.run(std::move(settings));
  if (ended.code > 128) fail(static_cast<Exit>(ended.code), "the replay was stopped; nothing is compared");
  if (ended.code != 0) fail(static_cast<Exit>(ended.code), "{}", ended.text);
  if (params_sha256 == run.params_sha256) {
    log.info("{}: the replay has the same parameters", run.checkpoint.string());
    return Exit::ok;
  }
  log.error("{}: its parameters are {}, those of the replay {}", run.checkpoint.string(), run.params_sha256,
            params_sha256);
  return Exit::no;
}

}  // namespace dl::tool
