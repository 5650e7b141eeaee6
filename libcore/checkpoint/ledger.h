// SPDX-License-Identifier: MIT
// RUN/ledger: what a run did, as lines each of which carries the digest of the line before it
// (dl-ledger(5)). What the lines mean is said where they are made and where they are proved (eval/audit).
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "base/append_file.h"
#include "base/json.h"

namespace dl::checkpoint {

struct LedgerHead {
  std::uint64_t lines = 0;
  std::string sha256 = std::string(64, '0');  // of the last line, without its line end
  bool operator==(const LedgerHead&) const = default;
};

// The end that grows. One process has it open, under the run's lock; any of its threads may call.
class Ledger {
 public:
  // Made where it is missing (73 where it cannot be). A last line that was cut by a crash is taken away:
  // nothing can depend on it, because sync() comes before what does. 65, and no line is taken away or added,
  // where it has not `recorded` in it: the head that it had at some time before.
  explicit Ledger(fs::path path, const LedgerHead& recorded = {});

  // Writes `entry`, an object, as one line. 74 where the disk is full: then nothing of it is left there, and
  // it is written before the next one.
  void append(Json entry);
  // All lines up to the one that this returns are on the disk; 74 where they cannot be. Once it was fsync that
  // failed, nothing more is written.
  LedgerHead sync();
  LedgerHead head() const;

 private:
  void write_owed();

  mutable std::mutex mutex_;
  std::deque<Json> owed_;  // lines that the disk had no room for
  LedgerHead head_;
  AppendFile file_;
};

struct LedgerLine {
  Json entry;
  std::string sha256;  // of this line
};

// All whole lines in order. 66 where there is none, 65 where this is no ledger at all; 1 where a line was
// changed, removed or doubled.
std::vector<LedgerLine> read_ledger(const fs::path& path);

}  // namespace dl::checkpoint
