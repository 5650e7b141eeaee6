// SPDX-License-Identifier: MIT
#include "modes.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "nn/blocking.h"
#include "train/compression.h"
#include "train/state_layout.h"

namespace dl::tool {

namespace {

constexpr std::uint64_t kMostBlocks = 256;

// A mode, and the options that no other one knows.
struct Mode {
  const char* name;
  std::vector<const char*> options;
};

const std::vector<Mode>& modes() {
  static const std::vector<Mode> all = {
      {"sync", {}},
      {"async", {"max-staleness", "delay-compensation"}},
      {"local", {"local-steps", "outer-lr", "outer-momentum"}},
      {"pipeline", {"stages"}},
      {"tensor", {"blocks"}},
  };
  return all;
}

// Options that belong to a mode of which there may be none here.
constexpr const char* kBound[] = {"max-staleness", "delay-compensation", "local-steps", "outer-lr", "outer-momentum",
                                  "stages", "blocks"};

void check_bound_options(const cli::Given& given, const Mode& mode) {
  for (const char* option : kBound) {
    if (!given.has(option)) continue;
    const bool known = std::any_of(mode.options.begin(), mode.options.end(),
                                   [&](const char* its) { return std::string(its) == option; });
    if (!known) fail(Exit::usage, "--{} says nothing in --mode {}", option, mode.name);
  }
}

constexpr std::uint64_t kMostStaleness = 1000;

void read_async(const cli::Given& given, train::RunConfig& config) {
  train::AgreementSpec& spec = config.agreement;
  spec.max_staleness.reset();
  if (given.text("max-staleness") != "inf") spec.max_staleness = given.count("max-staleness", 0, kMostStaleness);
  spec.delay_compensation = given.number("delay-compensation", 0, 100);
  if (spec.delay_compensation > 0 && !spec.max_staleness) {
    fail(Exit::usage, "--delay-compensation: with --max-staleness inf there is no bound to the versions to remember");
  }
}

}  // namespace

void add_mode_options(cli::Table& table) {
  std::string names;
  for (const Mode& mode : modes()) names += (names.empty() ? "" : ", ") + std::string(mode.name);
  table.group("Agreement")
      .option("mode", "HOW", "how nodes agree: " + names, "sync")
      .option("compress", "HOW", "of sums: none, bf16, int8, topk=RATIO or powersgd=RANK", "none")
      .option("groups", "G", "groups of shards that are compressed together", "4")
      .option("max-staleness", "K", "async: steps that a node may be ahead of the slowest; inf: any number", "2")
      .option("delay-compensation", "LAMBDA", "async: of gradients that come late (DC-ASGD); 0: none", "0")
      .option("local-steps", "H", "local: steps of a shard between two averages", "8")
      .option("outer-lr", "F", "local: of the step to the new average", "1")
      .option("outer-momentum", "F", "local: of that step", "0")
      .option("collective", "HOW", "of sums over TCP: auto, direct, doubling or tree; the bits are the same", "auto")
      .option("stages", "K", "pipeline: of the layers [as many as nodes and layers allow]")
      .option("blocks", "B", "tensor: of the hidden units between two layers", "8")
      .option("mirror", "N", "steps between copies in every node's memory of what one node alone holds [none]");
}

std::uint32_t read_stages(const cli::Given& given, const train::RunConfig& config) {
  if (!given.has("stages")) return 0;
  const auto stages = static_cast<std::uint32_t>(given.count("stages", 1, 1024));
  const std::size_t layers = config.model_spec().layers.size();
  if (stages > layers) {
    fail(Exit::usage, "--stages {}: the model has {} layers, the head included", stages, layers);
  }
  return stages;
}

void read_mode(const cli::Given& given, train::RunConfig& config) {
  std::vector<std::string> names;
  for (const Mode& mode : modes()) names.emplace_back(mode.name);
  config.mode = given.choice("mode", names);
  const auto mode = std::find_if(modes().begin(), modes().end(), [&](const Mode& m) { return m.name == config.mode; });
  check_bound_options(given, *mode);

  train::AgreementSpec& spec = config.agreement;
  try {
    spec.compress = comm::text_of(comm::parse_compression(given.text("compress")));
  } catch (const Error& error) {
    fail(error.code(), "--compress: {}", error.what());
  }
  if (given.has("groups") && spec.compress == "none") fail(Exit::usage, "--groups goes with --compress");
  spec.groups = static_cast<std::uint32_t>(given.count("groups", 1, 65536));
  train::check_compression(config);
  read_async(given, config);
  if (config.on_nan != "stop" && ((config.mode != "sync" && config.mode != "local") || train::compresses(config))) {
    fail(Exit::usage, "--on-nan {}: modes sync and local know it, without --compress", config.on_nan);
  }
  config.collective = given.choice("collective", {"auto", "direct", "doubling", "tree"});
  spec.local_steps = given.count("local-steps", 1, 1'000'000);
  spec.outer_lr = given.positive("outer-lr", 100);
  spec.outer_momentum = given.number("outer-momentum", 0, 1);
  if (spec.outer_momentum >= 1) fail(Exit::usage, "--outer-momentum: {} is not below 1", given.text("outer-momentum"));
  if (config.mode == "tensor") {
    spec.blocks = static_cast<std::uint32_t>(given.count("blocks", 1, kMostBlocks));
    nn::Blocking(config.model_spec(), spec.blocks);  // 64 where the model has nothing to cut
  }
  if (!given.has("mirror")) return;
  config.mirror_every = given.count("mirror", 1, std::uint64_t{1} << 40);
  if (!train::held_apart(config)) {
    fail(Exit::usage, "--mirror: in --mode {} every node has the whole state without it; async, pipeline, tensor and "
                      "--compress know it", config.mode);
  }
}

std::optional<comm::Collective> wished_collective(const train::RunConfig& config) {
  const bool parts = (config.mode == "sync" && !train::compresses(config)) || config.mode == "tensor";
  return parts ? comm::parse_collective(config.collective) : std::nullopt;
}

}  // namespace dl::tool
