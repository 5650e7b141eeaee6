// SPDX-License-Identifier: MIT
#include "options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/clock.h"
#include "base/hash.h"
#include "coord/messages.h"
#include "data/refit.h"
#include "display.h"
#include "modes.h"
#include "tls_options.h"
#include "train/compression.h"
#include "train/init.h"

namespace dl::tool {

namespace {

constexpr std::uint64_t kMostModelBytes = 1 << 20;
constexpr std::uint64_t kFewRows = 16;  // of a shard in a step: below that, sums cost noticeably more
constexpr std::size_t kMostShards = decltype(coord::Start::owner)::kMost;

std::string model_text(const std::string& given, std::string& source) {
  std::error_code none;
  if (given.find('\n') == std::string::npos && fs::is_regular_file(given, none)) {
    source = given;
    return read_file(given, kMostModelBytes);
  }
  source = "--model";
  return given;
}

optim::OptimizerSpec optimizer(const cli::Given& given) {
  optim::OptimizerSpec spec;
  spec.kind = optim::parse_kind(given.text("optimizer"));
  const auto below_one = [&](const char* name) {
    const double value = given.number(name, 0, 1);
    if (value >= 1) fail(Exit::usage, "--{}: {} is not below 1", name, shown(given.text(name)));
    return static_cast<float>(value);
  };
  spec.momentum = below_one("momentum");
  spec.beta1 = below_one("beta1");
  spec.beta2 = below_one("beta2");
  spec.epsilon = static_cast<float>(given.positive("epsilon", 1));
  spec.weight_decay = static_cast<float>(given.number("weight-decay", 0, 1e3));
  spec.clip_norm = static_cast<float>(given.number("clip", 0, 1e9));
  return spec;
}

optim::ScheduleSpec schedule(const cli::Given& given, optim::Kind kind) {
  optim::ScheduleSpec spec;
  spec.kind = optim::parse_schedule(given.text("schedule"));
  const bool adaptive = kind == optim::Kind::adam || kind == optim::Kind::adamw;
  spec.lr = given.has("lr") ? given.positive("lr", 1e6) : adaptive ? 0.001 : 0.1;
  spec.warmup = given.count("warmup", 0, std::uint64_t{1} << 40);
  spec.step_every = given.count("lr-step", 0, std::uint64_t{1} << 40);
  spec.factor = given.positive("lr-factor", 1);
  spec.floor = given.number("lr-floor", 0, spec.lr);
  if (spec.kind == optim::Schedule::step && spec.step_every == 0) {
    fail(Exit::usage, "--schedule step needs --lr-step N: after how many steps the rate falls");
  }
  return spec;
}

void read_duration(const cli::Given& given, train::RunConfig& config) {
  if (given.has("epochs") && given.has("steps")) {
    fail(Exit::usage, "--epochs and --steps: one of them says how long the run is");
  }
  if (given.has("steps")) {
    config.steps = given.count("steps", 1, std::uint64_t{1} << 40);
  } else {
    config.epochs = given.count("epochs", 1, 1'000'000);
  }
}

// A run that goes on from a checkpoint of its own does not need that of its beginning any more.
void read_initial(const cli::Given& given, Options& o) try {
  o.initial_path = checkpoint::find_checkpoint(given.text("init"), false);
  const checkpoint::Checkpoint found = checkpoint::read_checkpoint(o.initial_path);
  const train::RunRecord record{"", o.config, o.manifest.schema.to_json(), o.config.arithmetic};
  o.initial = train::begin_with(record, found, "--init " + o.initial_path.string());
  o.config.init_sha256 = checkpoint::params_sha256(found.parameters);
} catch (const Error& error) {
  const fs::path begun = o.run / "run.json";
  std::error_code none;
  if (error.code() != Exit::no_input || !fs::exists(begun, none)) throw;
  const Json run = parse_json(read_file(begun, kMostModelBytes << 4), begun.string());
  o.initial_missing = error.what();
  o.config.init_sha256 = train::RunConfig::from_json(JsonObject(run, begun.string()).get("config"),
                                                     begun.string() + ": config").init_sha256;
  if (o.config.init_sha256.empty()) throw;
}

std::string plain(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:.7g}", value.get<double>());
  return dump_line(value);
}

}  // namespace

cli::Table option_table() {
  cli::Table table("dl-coord",
                   "dl-coord --data DIR --model SPEC|FILE -o RUN [OPTION]...\n"
                   "       dl-coord --status RUN [--json]\n"
                   "       dl-coord --stop RUN\n"
                   "       dl-coord --replay RUN [--json]\n"
                   "       dl-coord --rekey RUN",
                   "Runs a training run: takes nodes in, gives them their shards, writes checkpoints.");
  table.group("Run")
      .option("data", "DIR", "the manifest's directory, made by dl-shard")
      .option("model", "SPEC|FILE", "layers, such as 'dense 512 relu; dense 256 relu'")
      .option("output", "RUN", "directory of the run", "", 'o')
      .option("epochs", "N", "passes over the data", "10")
      .option("steps", "N", "updates, instead of epochs")
      .option("batch", "N", "samples of a step, over all shards", "256")
      .option("seed", "N", "of everything random", "1")
      .option("init", "CHECKPOINT|RUN", "begin with the parameters of another run")
      .option("hold-out", "K", "train without shard K, and judge on it")
      .flag("refit", "with --hold-out: fit the scaling anew, without shard K")
      .option("patience", "N", "stop after N epochs without a better validation loss; 0: never", "0")
      .option("arithmetic", "NAME", "defined (the same bits everywhere) or openblas", "defined");
  add_mode_options(table);
  table.group("Optimizer")
      .option("optimizer", "NAME", "sgd, momentum, nesterov, adam or adamw", "sgd")
      .option("lr", "F", "learning rate [0.1; adam and adamw 0.001]")
      .option("momentum", "F", "of momentum and nesterov", "0.9")
      .option("beta1", "F", "of adam and adamw", "0.9")
      .option("beta2", "F", "of adam and adamw", "0.999")
      .option("epsilon", "F", "of adam and adamw", "1e-8")
      .option("weight-decay", "F", "of the parameters", "0")
      .option("clip", "F", "longest gradient; 0: any", "0")
      .option("on-nan", "HOW", "a loss or gradient that is not finite: stop, skip (the step) or rollback (to the newest checkpoint, and on)", "stop")
      .option("schedule", "NAME", "of the learning rate: constant, step or cosine", "constant")
      .option("warmup", "N", "steps in which the rate rises", "0")
      .option("lr-step", "N", "schedule step: steps between its falls", "0")
      .option("lr-factor", "F", "schedule step: what the rate is multiplied by", "0.1")
      .option("lr-floor", "F", "schedule cosine: the rate at the end", "0")
      .group("Nodes")
      .option("nodes", "N", "nodes to wait for before the first step [as many as --spawn, or 1]")
      .option("spawn", "N", "local nodes to start as children", "0")
      .option("listen", "HOST:PORT", "where nodes connect; port 0: a free one", "127.0.0.1:0")
      .flag("insecure", "no key and no encryption: whoever reaches the port is in");
  cli::add_tls_options(table);
  table
      .option("assign", "HOW", "shards to nodes: balanced, adaptive, round-robin or random", "balanced")
      .option("deadline", "TIME", "stop in time, saved, with exit code 75: run again")
      .option("wait-lock", "TIME", "how long to wait while another dl-coord runs this run", "0s")
      .option("min-nodes", "N", "fewest nodes to go on with after a loss", "1")
      .option("wait", "TIME", "how long to wait for nodes that are missing", "60s")
      .option("on-loss", "HOW", "after the loss of a node: continue, wait for another, or stop", "continue")
      .option("heartbeat", "TIME", "how often nodes and coordinator say that they are there", "500ms")
      .option("dead-after", "TIME", "a node that is silent for so long is lost", "2.5s")
      .option("hung-after", "TIME", "a node whose work stands still for so long is lost", "60s")
      .option("threads", "N", "compute threads of a spawned node", "1")
      .option("kernel", "NAME", "of spawned nodes: automatic, avx512, avx2 or scalar", "automatic")
      .option("transport", "HOW", "between spawned nodes: auto or tcp", "auto")
      .group("Checkpoints and output")
      .option("checkpoint-every", "N", "steps between checkpoints; 0: every epoch", "0")
      .option("keep", "N", "checkpoints to keep", "3")
      .flag("json", "events as JSON Lines on standard output")
      .option("status", "RUN", "show how a run is doing, and exit")
      .option("stop", "RUN", "stop a run: it saves, and this waits for its end")
      .option("replay", "RUN", "do an async run again by its log, on one node, and compare the bits")
      .option("rekey", "RUN", "give a run that is not running a new key, and exit")
      .config_file();
  return table;
}

// What is left at that time is for the open step and the checkpoint.
void read_deadline(const cli::Given& given, Options& o) {
  if (!given.has("deadline")) return;
  const double seconds = given.seconds("deadline");
  if (seconds < 1) fail(Exit::usage, "--deadline: {} is shorter than 1s", shown(given.text("deadline")));
  constexpr double kShare = 0.1, kLeastLeft = 1, kMostLeft = 10;
  const double left = std::clamp(seconds * kShare, std::min(kLeastLeft, seconds / 2), kMostLeft);
  o.deadline_ns = monotonic_ns() + static_cast<std::int64_t>((seconds - left) * 1e9);
  o.kept_back_ns = static_cast<std::int64_t>(left * 1e9);
}

std::vector<std::string> node_words(const cli::Given& given, bool insecure) {
  std::vector<std::string> words = {"--threads", std::to_string(given.count("threads", 1, 1024)), "--kernel",
                                    given.choice("kernel", {"automatic", "avx512", "avx2", "scalar"}), "--transport",
                                    given.choice("transport", {"auto", "tcp"}), "--log-format",
                                    given.choice("log-format", {"text", "json"})};
  if (insecure) words.push_back("--insecure");
  for (std::string& word : cli::words_of(cli::read_tls_options(given))) words.push_back(std::move(word));
  if (given.flag("quiet")) words.push_back("-q");
  if (given.flag("verbose")) words.push_back("-v");
  return words;
}

// Children dial each other, so they need a certificate for both sides.
void read_credentials(const cli::Given& given, Options& o) {
  o.insecure = given.flag("insecure");
  const net::CertificateFiles files = cli::read_tls_options(given);
  if (files.given()) o.certificate = net::read_certificate(files, o.spawn > 0);
}

Options read_options(const cli::Given& given) {
  for (const char* name : {"data", "model", "output"}) {
    if (!given.has(name)) fail(Exit::usage, "--{} is missing (see dl-coord --help)", name);
  }
  Options o;
  o.run = given.text("output");
  if (o.run.empty()) fail(Exit::usage, "--output: a directory is wanted");
  o.json = given.flag("json");
  train::RunConfig& config = o.config;
  read_duration(given, config);
  config.batch = given.count("batch", 1, UINT32_MAX);
  config.seed = given.count("seed", 0, std::uint64_t{1} << 53);
  config.arithmetic = given.choice("arithmetic", {"defined", "openblas"});
  config.optimizer = optimizer(given);
  config.schedule = schedule(given, config.optimizer.kind);
  config.checkpoint_every = given.count("checkpoint-every", 0, std::uint64_t{1} << 40);
  config.on_nan = given.choice("on-nan", {"stop", "skip", "rollback"});
  config.patience = given.count("patience", 0, 1'000'000);
  o.spawn = static_cast<std::uint32_t>(given.count("spawn", 0, 1024));
  o.nodes = given.has("nodes") ? static_cast<std::uint32_t>(given.count("nodes", 1, 1024))
                               : std::max(1U, o.spawn);
  o.min_nodes = static_cast<std::uint32_t>(given.count("min-nodes", 1, 1024));
  o.listen = net::parse_address(given.text("listen"));
  o.assignment = coord::parse_assignment(given.text("assign"));
  o.keep = static_cast<unsigned>(given.count("keep", 1, 1'000'000));
  o.wait_seconds = given.seconds("wait");
  o.dead_after_seconds = given.seconds("dead-after");
  if (o.dead_after_seconds < 0.5) {
    fail(Exit::usage, "--dead-after: {} is shorter than 500ms", shown(given.text("dead-after")));
  }
  const double heartbeat = given.seconds("heartbeat");
  if (heartbeat < 0.02 || heartbeat * 3 > o.dead_after_seconds) {
    fail(Exit::usage, "--heartbeat: {} is not between 20ms and a third of --dead-after, {}",
         shown(given.text("heartbeat")), shown(given.text("dead-after")));
  }
  o.heartbeat_ms = static_cast<std::uint32_t>(heartbeat * 1e3);
  const std::string on_loss = given.choice("on-loss", {"continue", "wait", "stop"});
  o.on_loss = on_loss == "wait" ? coord::OnLoss::wait
              : on_loss == "stop" ? coord::OnLoss::stop : coord::OnLoss::go_on;
  o.hung_after_seconds = given.seconds("hung-after");
  if (o.hung_after_seconds < 1) {
    fail(Exit::usage, "--hung-after: {} is shorter than 1s", shown(given.text("hung-after")));
  }
  o.wait_lock_seconds = given.seconds("wait-lock");
  read_deadline(given, o);
  read_credentials(given, o);
  o.node_words = node_words(given, o.insecure);

  const fs::path directory = given.text("data");
  o.manifest_text = read_file(directory / data::kManifestName, data::kLongestManifest);
  o.manifest = data::parse_manifest(o.manifest_text, (directory / data::kManifestName).string());
  if (o.manifest.shards.size() > kMostShards) {
    fail(Exit::data, "{}: {} shards, and a run takes at most {}", directory.string(),
         o.manifest.shards.size(), kMostShards);
  }
  if (given.flag("refit") && !given.has("hold-out")) {
    fail(Exit::usage, "--refit: without which shard? It goes with --hold-out K");
  }
  if (given.flag("refit") && given.has("init")) {
    fail(Exit::usage, "--refit: --init needs the scaling of the run that it begins with");
  }
  o.source = o.manifest;
  if (given.has("hold-out")) {
    config.hold_out = static_cast<std::uint32_t>(given.count("hold-out", 0, kMostShards));
    try {
      o.manifest = data::without_shard(std::move(o.manifest), *config.hold_out);
    } catch (const Error& error) {
      fail(error.code(), "--hold-out {}: {}: {}", *config.hold_out, directory.string(), error.what());
    }
  }
  config.data = fs::canonical(directory).string();
  config.manifest_sha256 = sha256_hex(as_bytes_of(o.manifest_text));
  if (given.flag("refit")) config.refit_of = config.manifest_sha256;
  const data::Schema& schema = o.manifest.schema;
  config.ends = {schema.features(), schema.outputs(),
                 schema.task == data::Task::classification ? nn::Loss::softmax_cross_entropy
                                                           : nn::Loss::squared_error};
  std::string source;
  const std::string text = model_text(given.text("model"), source);
  config.model = nn::parse_model(text, source, config.ends).text();
  read_mode(given, config);
  if (train::compresses(config)) {
    const auto shards = static_cast<std::uint32_t>(o.manifest.shards.size());
    config.agreement.groups = std::min(config.agreement.groups, shards);
  }
  o.stages = read_stages(given, config);
  if ((config.mode == "pipeline" || config.mode == "tensor") && o.assignment == coord::Assignment::adaptive) {
    fail(Exit::usage, "--assign adaptive: nothing is moved while --mode {} trains; balanced deals the {}", config.mode,
         config.mode == "tensor" ? "blocks" : "shards");
  }
  if (config.patience > 0 && o.manifest.validation.empty()) {
    fail(Exit::usage, "--patience needs a validation part, and {} has none (dl-shard --validation)",
         directory.string());
  }
  if (given.has("init")) read_initial(given, o);
  config.schedule.total = config.total_steps(o.manifest.training_samples());
  return o;
}

void use_refit(Options& o, const fs::path& run, const Log& log) {
  const fs::path made = run / "refit";
  std::error_code none;
  if (!fs::exists(made / data::kManifestName, none)) {
    log.info("{}: the scaling is fitted anew, without shard {}", made.string(), *o.config.hold_out);
    data::refit(o.config.data, o.source, *o.config.hold_out, made);
  }
  o.manifest_text = read_file(made / data::kManifestName, data::kLongestManifest);
  o.manifest = data::parse_manifest(o.manifest_text, (made / data::kManifestName).string());
  o.config.data = fs::canonical(made).string();
  o.config.manifest_sha256 = sha256_hex(as_bytes_of(o.manifest_text));
}

std::vector<std::pair<std::string, std::string>> named_options(const train::RunConfig& config) {
  const Json json = config.to_json();
  std::vector<std::pair<std::string, std::string>> out;
  for (const char* key : {"model", "seed", "batch", "epochs", "steps", "mode", "arithmetic",
                          "checkpoint_every", "patience"}) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    out.emplace_back("--" + name, plain(json.at(key)));
  }
  out.emplace_back("--hold-out", config.hold_out ? std::to_string(*config.hold_out) : "none");
  out.emplace_back("--refit", config.refit_of.empty() ? "no" : "yes");
  out.emplace_back("--init", config.init_sha256.empty() ? "none" : config.init_sha256);
  const auto nested = [&](const char* group, const char* key, const char* name) {
    out.emplace_back(name, plain(json.at(group).at(key)));
  };
  for (const char* key : {"compress", "groups", "max_staleness", "delay_compensation", "local_steps", "outer_lr",
                          "outer_momentum", "blocks"}) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    out.emplace_back("--" + name, plain(json.at("agreement").at(key)));
  }
  nested("optimizer", "kind", "--optimizer");
  nested("schedule", "lr", "--lr");
  nested("optimizer", "momentum", "--momentum");
  nested("optimizer", "beta1", "--beta1");
  nested("optimizer", "beta2", "--beta2");
  nested("optimizer", "epsilon", "--epsilon");
  nested("optimizer", "weight_decay", "--weight-decay");
  nested("optimizer", "clip_norm", "--clip");
  nested("schedule", "kind", "--schedule");
  nested("schedule", "warmup", "--warmup");
  nested("schedule", "step_every", "--lr-step");
  nested("schedule", "factor", "--lr-factor");
  nested("schedule", "floor", "--lr-floor");
  out.emplace_back("--on-nan", config.on_nan);
  return out;
}

// Beside this program; in a build tree, in the folder next to it; or in PATH.
std::string find_node() {
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<fs::path> places = {here / "dl-node", here.parent_path() / "dl-node" / "dl-node"};
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) places.push_back(fs::path(folder) / "dl-node");
  for (const fs::path& place : places) {
    if (fs::is_regular_file(place, error) && ::access(place.c_str(), X_OK) == 0) return place.string();
  }
  fail(Exit::no_input, "dl-node is neither beside dl-coord ({}) nor in PATH; --spawn needs it", here.string());
}

void introduce(const Options& o, const Log& log) {
  const nn::ModelSpec model = o.config.model_spec();
  const nn::DenseSpec& head = model.layers.back();
  log.info("model: {}{}dense {} ({}), {} parameters", o.config.model, o.config.model.empty() ? "" : "; ",
           head.outputs, o.config.ends.loss == nn::Loss::softmax_cross_entropy
                             ? "softmax cross-entropy" : "squared error",
           grouped(model.parameter_count()));
  if (o.initial) {
    log.info("parameters: those of {}, the optimizer begins anew", o.initial_path.string());
  }
  const std::uint64_t shards = o.manifest.shards.size();
  log.info("data: {} samples in {} shards, batch {}, {} steps",
           grouped(o.manifest.training_samples()), shards, o.config.batch, grouped(o.config.schedule.total));
  if (o.config.batch < kFewRows * shards) {
    log.warning("a batch of {} leaves {} of {} shards fewer than {} rows in a step; larger batches or "
                "fewer shards are faster", o.config.batch, shards, shards, kFewRows);
  }
  if (o.config.mode == "pipeline") {
    const std::uint64_t most = o.stages > 0 ? o.stages : model.layers.size();
    const std::uint64_t stages = std::min<std::uint64_t>(most, o.nodes);
    const std::uint64_t working = stages * std::min(o.nodes / stages, shards);
    if (working < o.nodes) {
      log.warning("{} nodes in columns of {} stages: {} of them stand by", o.nodes, stages, o.nodes - working);
    }
  } else if (o.nodes > shards) {
    log.warning("{} nodes for {} shards: {} of them stand by", o.nodes, shards, o.nodes - shards);
  }
}

}  // namespace dl::tool
