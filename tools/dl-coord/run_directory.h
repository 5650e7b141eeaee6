// SPDX-License-Identifier: MIT
// RUN/: what a run leaves on disk beside its checkpoints.
//
//   lock           held (flock) by the dl-coord that runs it; its process number and host
//   key            what nodes show to be let in; for its owner alone (net/key.h)
//   run.json       what the run is; after its end also what came out
//   address        where nodes connect, while it runs
//   status.json    how it is doing, written once a second while it runs
//   metrics.jsonl  one object per line: everything that was announced, with the time
//   ledger         who trained what, provably (checkpoint/ledger.h)
//   updates.log    mode async: what was applied in which order (train/update_log.h)
#pragma once

#include <optional>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "checkpoint/ledger.h"
#include "net/key.h"
#include "options.h"

namespace dl::tool {

class RunDirectory {
 public:
  // Creates the directory where it is missing (73 where it cannot) and locks it: 75 where another
  // dl-coord runs it. A run that was begun with other options is 76, with both values.
  explicit RunDirectory(const Options& options);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  // The data is another than --data now (--refit). 76 where it is not what the run began with.
  void use_data(const train::RunConfig& config);

  const fs::path& path() const { return path_; }
  const std::string& run_id() const { return run_id_; }
  bool begun_before() const { return begun_before_; }
  // The `done` event of a run that is complete under these options, with its checkpoint where it is now.
  std::optional<Json> done() const;

  // From begin() on: of the newest group that was announced, over all starts; 0: none yet.
  std::uint32_t generation() const { return generation_; }
  // It is on the disk when this returns; 73 or 74 where it cannot be. What the ledger has to say of it is there before.
  void begin_generation(std::uint32_t generation);

  // What nodes have to show: a certificate where one is given; the key, made where it is missing, 77 where others may
  // read it; none with --insecure.
  std::shared_ptr<const net::Credentials> credentials(const Options& options) const;
  fs::path key_file() const { return fs::absolute(path_ / "key"); }

  // Opens the ledger, writes run.json and address. 65 where the ledger is not the one that run.json knows: what it
  // says could be proved no more, and nobody would see that once run.json knew it as it is now.
  void begin(const std::string& address);
  checkpoint::Ledger& ledger() { return *ledger_; }  // from begin() on
  void append_metrics(const Json& event);  // 74 where the disk is full
  void write_status(const Json& status) noexcept;
  void finish(const Json& done);           // remembers the `done` event
  void end(int code);                      // the last line of the ledger

 private:
  void compare(const JsonObject& before) const;
  bool outgrown() const;  // the `done` of before is of fewer steps than are wanted now
  void write_run();  // run.json, after what the ledger has so far

  fs::path path_;
  std::optional<FileLock> lock_;
  train::RunConfig config_;
  std::string run_id_;
  bool begun_before_ = false;
  std::string manifest_before_;       // of a run begun before
  std::uint32_t generation_ = 0;
  Json done_;                         // null where the run is not complete
  std::optional<Json> done_now_;      // the same, as found in this directory
  std::uint64_t done_total_ = 0;      // the steps it was meant to have
  checkpoint::LedgerHead recorded_;   // of a run begun before
  std::optional<checkpoint::Ledger> ledger_;
  int metrics_fd_ = -1;
};

// Gives a run another key: 75 while it runs, 66 where there is no such run.
Exit rekey(const fs::path& run, const Log& log);

// Who holds RUN/lock.
struct Runner {
  int pid = 0;       // 0: it has not said yet
  std::string host;
  bool here() const;  // on this machine
};
// nullopt where nobody runs it. Needs no right but to read, and disturbs nobody who starts.
std::optional<Runner> runner_of(const fs::path& run);

// What run.json says of the end of a run in this directory, wherever that was when it was written; nullopt where it is
// not complete, or its last checkpoint is not there.
std::optional<Json> done_in(const fs::path& run, const JsonObject& run_json);

}  // namespace dl::tool
