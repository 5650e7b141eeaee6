// SPDX-License-Identifier: MIT
// How dl-shard shows what it made and how far it is.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>

#include "base/log.h"
#include "data/sharder.h"

namespace dl {

// The table that --info and a run print.
std::string manifest_table(const std::string& directory, const data::Manifest& manifest);

// A line on standard error that is written over itself, on a terminal only; elsewhere, nothing.
class ProgressLine {
 public:
  ProgressLine(bool wanted, std::uint64_t input_bytes);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void show(const data::ShardProgress& progress);

 private:
  bool shown_;
  std::uint64_t input_bytes_;
  std::int64_t begin_ns_, last_ns_ = 0;
};

// From now on SIGINT, SIGTERM and SIGHUP are only noted.
void note_signals();
// Ends the work with exit 128+n where signal n was noted.
void stop_on_signal();

}  // namespace dl
