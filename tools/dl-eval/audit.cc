// SPDX-License-Identifier: MIT
#include "audit.h"

#include "checkpoint/checkpoint.h"
#include "data/manifest.h"
#include "eval/audit.h"
#include "report.h"

namespace dl::tool {

namespace {

constexpr std::uint64_t kMostRunJson = 16 << 20;
constexpr int kMostTries = 100;

struct Run {
  eval::RunFacts facts;
  fs::path checkpoint;  // empty: none
};

// Of shards that are left out in training the manifest's shards close up, as for the nodes.
std::vector<std::uint64_t> shard_samples(const fs::path& directory, const JsonObject& config) {
  const std::string digest = data::manifest_digest(directory), wanted = config.text("manifest_sha256");
  if (digest != wanted) {
    fail(Exit::disagree, "{}: its manifest is {}, the run's is {}", directory.string(), digest, shown(wanted));
  }
  data::Manifest manifest = data::read_manifest(directory);
  if (config.has("hold_out") && !config.has("refit_of")) {
    manifest = data::without_shard(std::move(manifest), static_cast<std::uint32_t>(config.count("hold_out", UINT32_MAX)));
  }
  std::vector<std::uint64_t> samples;
  for (const data::ShardEntry& shard : manifest.shards) samples.push_back(shard.samples);
  return samples;
}

std::optional<eval::RunFacts::Newest> newest(const fs::path& path) {
  const checkpoint::Checkpoint found = checkpoint::read_checkpoint(path);
  const auto cursor = [&](const char* name) {
    const auto at = found.cursors.find(name);
    if (at == found.cursors.end()) fail(Exit::data, "{}: no cursor.{}", path.string(), name);
    return at->second;
  };
  return eval::RunFacts::Newest{cursor("step"), cursor("samples"), checkpoint::params_sha256(found.parameters)};
}

Run read_run(const fs::path& directory, const cli::Given& given) {
  const fs::path file = directory / "run.json";
  const Json json = parse_json(read_file(file, kMostRunJson), file.string());
  const JsonObject run(json, file.string());
  const JsonObject config = run.object("config");
  Run out;
  out.facts.run_id = run.text("run_id");
  out.facts.manifest_sha256 = config.text("manifest_sha256");
  out.facts.batch = config.count("batch");
  out.facts.shard_samples = shard_samples(given.has("data") ? given.text("data") : config.text("data"), config);
  if (run.has("ledger")) {
    const JsonObject recorded = run.object("ledger");
    out.facts.recorded = {recorded.count("lines"), recorded.text("sha256")};
  }
  std::error_code none;
  if (fs::exists(fs::symlink_status(directory / "latest", none))) {
    out.checkpoint = checkpoint::find_checkpoint(directory, false);
    out.facts.newest = newest(out.checkpoint);
  }
  return out;
}

Json as_json(const eval::Audit& audit, const Run& run) {
  Json lineage = Json::array();
  for (const eval::Stretch& s : audit.lineage) {
    lineage.push_back({{"begin", s.begin}, {"end", s.end}, {"generation", s.generation}, {"nodes", s.nodes}});
  }
  Json json{{"lines", audit.lines},   {"starts", audit.starts},   {"groups", audit.groups},
            {"losses", audit.losses}, {"lineage", lineage},       {"samples", audit.samples},
            {"epochs", audit.whole_epochs}, {"done", audit.done}};
  if (run.facts.newest) {
    json["checkpoint"] = run.checkpoint.string();
    json["step"] = run.facts.newest->step;
    json["params_sha256"] = run.facts.newest->params_sha256;
  }
  return json;
}

std::string as_table(const eval::Audit& audit, const Run& run, const std::string& ledger) {
  std::string out = fmt::format("ledger      {} lines, no gap: {} start{}, {} group{}, {} node{} lost ({})\n", audit.lines,
                                audit.starts, audit.starts == 1 ? "" : "s", audit.groups,
                                audit.groups == 1 ? "" : "s", audit.losses, audit.losses == 1 ? "" : "s", ledger);
  if (!run.facts.newest) return out + "checkpoint  none yet\n";
  const std::size_t stretches = audit.lineage.size();
  out += fmt::format("steps       1 to {}, each once, every shard with one owner, in {} stretch{}\n",
                     run.facts.newest->step, stretches, stretches == 1 ? "" : "es");
  out += fmt::format("samples     {}: every sample once in each of {} epoch{}", audit.samples, audit.whole_epochs,
                     audit.whole_epochs == 1 ? "" : "s");
  if (audit.steps_of_next > 0) out += fmt::format(", and {} steps of the next", audit.steps_of_next);
  out += fmt::format("\ncheckpoint  step {}, params sha256 {} ({})\n", run.facts.newest->step,
                     run.facts.newest->params_sha256, run.checkpoint.string());
  return out + (audit.done ? "run         complete\n" : "run         not complete yet\n");
}

}  // namespace

Exit audit_run(const cli::Given& given) {
  const fs::path directory = given.arguments().front();
  std::error_code none;
  if (!fs::is_directory(directory, none)) {
    fail(Exit::no_input, "{}: --audit wants the directory of a run", directory.string());
  }
  const fs::path ledger = directory / "ledger";
  for (int tries = 1;; ++tries) {
    const fs::path newest = fs::read_symlink(directory / "latest", none);
    try {
      // The ledger last: it has told of all that the others know.
      const Run run = read_run(directory, given);
      const eval::Audit audit = eval::audit(checkpoint::read_ledger(ledger), run.facts, ledger.string());
      print(given.flag("json") ? dump_line(as_json(audit, run)) + "\n" : as_table(audit, run, ledger.string()));
      return Exit::ok;
    } catch (const Error&) {
      // A run that goes on may have removed the checkpoint before it was read, or ended after.
      if (tries == kMostTries || fs::read_symlink(directory / "latest", none) == newest) throw;
    }
  }
}

}  // namespace dl::tool
