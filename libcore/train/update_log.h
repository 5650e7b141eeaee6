// SPDX-License-Identifier: MIT
// RUN/updates.log: in which order an asynchronous run applied what, round after round, so that it can be done
// again (dl-updates(5) has the bytes). No linear algebra here.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "base/append_file.h"
#include "base/bytes.h"
#include "train/round_record.h"
#include "train/run_config.h"

namespace dl::train {

inline constexpr const char* kUpdateLogName = "updates.log";

// Reads from front to back. 66 where there is no file, 65 where it is damaged or none of these, 76 where it is
// of another version. What stands behind the record that was read last is not looked at.
class UpdateReader {
 public:
  explicit UpdateReader(const fs::path& path);

  const std::string& run_id() const { return run_id_; }
  std::uint32_t groups() const { return groups_; }  // that the run compresses together; 0: it does not
  std::uint64_t step() const { return step_; }      // the run is known up to here
  std::uint64_t offset() const { return at_; }      // of what follows in the file
  std::uint32_t checksum() const { return crc_; }   // of everything before
  // The round that begins at step(); nothing at the end of the file. 65 where it is damaged, cut short, or
  // begins elsewhere.
  std::optional<RoundRecord> next();
  // Reads until a round ends at this step; 65 where none does.
  void pass_to(std::uint64_t step);

 private:
  MappedFile file_;
  std::string name_, run_id_;
  std::uint32_t groups_ = 0;
  std::uint64_t step_ = 0, at_ = 0;
  std::uint32_t crc_ = 0;
};

// What a log must be of.
struct LoggedRun {
  std::string id;
  std::uint32_t groups = 0;  // of shards that are compressed together; 0: nothing is
};

LoggedRun logged_run(const std::string& run_id, const RunConfig& config);

// Whether a run of so many shards can be done again up to this step by the log at `path`: 66, 65 or 76 where it
// cannot.
void check_updates(const fs::path& path, const LoggedRun& run, std::uint32_t shards, std::uint64_t step);

// The end that grows. Owned by dl-coord under the run's lock; any of its threads may call.
//
// A checkpoint of step k may be committed when sync() has returned after the record that ends at k came. So the
// log is never shorter than a checkpoint; it may be longer, and is cut when the run goes on from there.
class UpdateLog {
 public:
  // For a run that goes on from this step: at 0 a new file (73 where it cannot be), else that of the same run
  // (66: none, 76: another one's), cut behind that step. 65 where no record ends there.
  UpdateLog(const fs::path& path, const LoggedRun& run, std::uint64_t step);

  // A new group goes on from this step: what was logged behind it did not happen. 65 where no record ends there.
  void go_on_from(std::uint64_t step);
  // The next round, as RoundRecord::encode gives it; one that is there already is passed over, since every node
  // tells. 65 where it is none, or does not follow. 74 where the disk is full: then it is written before the
  // next one.
  void append(std::uint64_t first, std::uint64_t last, ByteView record);
  // Everything that was appended is on the disk when this returns; 74 where it cannot be. Once it was fsync that
  // failed, nothing more is written.
  void sync();

 private:
  struct Owed {
    std::uint64_t last;
    Bytes record;
  };
  UpdateLog(std::optional<UpdateReader> before, const fs::path& path, const LoggedRun& run, std::uint64_t step);
  void cut_behind(UpdateReader& reader, std::uint64_t step);
  void write_owed();

  const std::uint32_t groups_;
  std::mutex mutex_;
  std::deque<Owed> owed_;        // what the disk had no room for
  std::uint64_t told_ = 0;       // the step up to which rounds were appended, owed ones included
  std::uint32_t crc_ = 0;        // of the file
  AppendFile file_;
};

}  // namespace dl::train
