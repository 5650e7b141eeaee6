// SPDX-License-Identifier: MIT
// The command line of dl-coord as values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli.h"
#include "coord/assignment.h"
#include "coord/coordinator.h"
#include "data/manifest.h"
#include "net/address.h"
#include "net/certificate.h"
#include "train/run_config.h"
#include "train/run_record.h"

namespace dl::tool {

struct Options {
  fs::path run;
  train::RunConfig config;  // whole: data, model and their ends are looked at and checked
  data::Manifest manifest;    // what is trained on
  data::Manifest source;      // at --data, whole
  std::string manifest_text;  // as nodes fetch it
  std::optional<train::Snapshot> initial;  // to begin with (--init)
  fs::path initial_path;
  std::string initial_missing;  // why --init cannot be read, where a run has begun with it before
  coord::Assignment assignment = coord::Assignment::balanced;
  net::Address listen;
  std::uint32_t stages = 0;  // of a pipeline; 0: as many as can be
  std::uint32_t nodes = 1;  // of the first group
  std::uint32_t spawn = 0;
  std::uint32_t min_nodes = 1;
  unsigned keep = 3;
  double wait_seconds = 60;
  double dead_after_seconds = 2.5;
  std::uint32_t heartbeat_ms = 500;
  coord::OnLoss on_loss = coord::OnLoss::go_on;
  double hung_after_seconds = 60;
  double wait_lock_seconds = 0;
  std::int64_t deadline_ns = 0;  // monotonic: when to begin to stop; 0: never
  std::int64_t kept_back_ns = 0;  // of --deadline, for stopping
  bool insecure = false;  // no key, and no certificate
  std::shared_ptr<const net::Certificate> certificate;  // instead of a key; or none
  bool by_key() const { return !insecure && !certificate; }
  std::vector<std::string> node_words;  // for spawned nodes
  bool json = false;
};

cli::Table option_table();

// Reads the manifest and the model on the way. 64, 65 or 66 where something is wrong with either.
Options read_options(const cli::Given& given);

// What spawned nodes are told on their command line.
std::vector<std::string> node_words(const cli::Given& given, bool insecure);

// --insecure and --tls-*, checked as far as the files go.
void read_credentials(const cli::Given& given, Options& options);

// Makes RUN/refit/ where it is not there yet, and turns to it (--refit).
void use_refit(Options& options, const fs::path& run, const Log& log);

// The configuration under the names of the options, for people and comparison.
std::vector<std::pair<std::string, std::string>> named_options(const train::RunConfig& config);

// The dl-node to spawn. 66 where there is none.
std::string find_node();

// Says what model and data these are, and what about them will be slow.
void introduce(const Options& options, const Log& log);

}  // namespace dl::tool
