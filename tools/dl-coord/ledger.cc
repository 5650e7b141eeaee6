// SPDX-License-Identifier: MIT
#include "ledger.h"

#include <unistd.h>

#include <algorithm>

#include "base/clock.h"

namespace dl::tool {

namespace {

Json line_of(const char* event) { return {{"event", event}, {"time", utc_now()}}; }

// [[0,3],[6,6]] for the shards of one rank.
Json ranges_of(const std::vector<std::uint32_t>& owner, std::uint32_t rank) {
  Json ranges = Json::array();
  for (std::size_t s = 0; s < owner.size(); ++s) {
    if (owner[s] != rank) continue;
    const std::size_t first = s;
    while (s + 1 < owner.size() && owner[s + 1] == rank) ++s;
    ranges.push_back({first, s});
  }
  return ranges;
}

Json members_of(const coord::Coordinator& now, const std::vector<std::uint32_t>& owner) {
  std::vector<coord::Coordinator::NodeView> group;
  for (const auto& node : now.nodes()) {
    if (node.rank) group.push_back(node);
  }
  std::sort(group.begin(), group.end(), [](const auto& a, const auto& b) { return *a.rank < *b.rank; });
  Json members = Json::array();
  for (const auto& node : group) {
    members.push_back({{"host", node.host}, {"pid", node.pid}, {"shards", ranges_of(owner, *node.rank)}});
  }
  return members;
}

}  // namespace

void begin_ledger(checkpoint::Ledger& ledger, const Options& options, const train::RunRecord& run,
                  const coord::ServerSettings& settings) {
  if (ledger.head().lines == 0) {
    Json line = line_of("ledger");
    line["format"] = "dl 1";
    line["run_id"] = run.run_id;
    line["manifest_sha256"] = options.config.manifest_sha256;
    line["batch"] = options.config.batch;
    line["shards"] = options.manifest.shards.size();
    ledger.append(std::move(line));
  }
  Json line = line_of("start");
  line["pid"] = ::getpid();
  line["step"] = settings.kept ? settings.kept->step : 0;
  if (settings.kept && settings.kept->step > 0) {
    const std::span<const float> values = settings.kept->values;
    line["params_sha256"] = checkpoint::params_sha256(values.first(settings.plan.parameters));
  }
  ledger.append(std::move(line));
}

Json ledger_checkpoint(std::uint64_t step, std::span<const float> parameters) {
  Json line = line_of("checkpoint");
  line["step"] = step;
  line["params_sha256"] = checkpoint::params_sha256(parameters);
  return line;
}

std::uint32_t newest_generation(const fs::path& ledger) try {
  std::uint32_t newest = 0;
  for (const checkpoint::LedgerLine& line : checkpoint::read_ledger(ledger)) {
    const JsonObject entry(line.entry, ledger.string());
    if (entry.text("event") != "group") continue;
    newest = std::max(newest, static_cast<std::uint32_t>(entry.count("generation", UINT32_MAX / 2)));
  }
  return newest;
} catch (const Error&) {
  return 0;
}

std::optional<Json> ledger_entry(const Json& event, const coord::Coordinator& now) {
  const std::string name = event.at("event").get<std::string>();
  Json line = line_of(name.c_str());
  const auto copy = [&](std::initializer_list<const char*> keys) {
    for (const char* key : keys) line[key] = event.at(key);
  };
  if (name == "joined") {
    copy({"host", "pid", "generation", "step"});
  } else if (name == "lost") {
    copy({"host", "pid", "generation", "step", "reason"});
  } else if (name == "group") {
    copy({"generation", "step"});
    line["members"] = members_of(now, event.at("owner").get<std::vector<std::uint32_t>>());
  } else if (name == "done") {
    line["step"] = event.at("steps");
    copy({"params_sha256"});
  } else {
    return std::nullopt;
  }
  return line;
}

}  // namespace dl::tool
