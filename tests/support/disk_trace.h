// SPDX-License-Identifier: MIT
// What a piece of code asks of the file system, call by call, and what a disk may hold after a crash
// at any of them. No seam in the code that is looked at: its system calls are watched (ptrace(2)).
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dl::test {

// One call that changed something below the directory that is watched, or made it last.
struct DiskCall {
  enum class Kind { create, write, truncate, sync_file, sync_directory, rename, remove, link } kind;
  std::string path;        // relative to the directory; "." is the directory itself
  std::string other;       // rename: the new name; link: what it points at
  std::uint64_t file = 0;  // which open of a file: it stays the same file when it is renamed
  std::uint64_t offset = 0;
  std::string bytes;
};

// Runs `work` in a child and writes down its calls below `directory`; nullopt where tracing is not allowed.
std::optional<std::vector<DiskCall>> trace_disk(const std::filesystem::path& directory,
                                                const std::function<void()>& work);

// A directory as it is in memory, and as much of it as is sure to be on the disk.
class CrashedDisk {
 public:
  // What is in `directory` now is on the disk.
  explicit CrashedDisk(const std::filesystem::path& directory);
  void apply(const DiskCall& call);

  // What may be found after a crash at this moment.
  enum class Fate {
    killed,           // only the process: everything is there
    nothing_unsynced, // power: only what was synchronised
    names_first,      // power: names as they were last, their contents only as synchronised
    contents_first,   // power: contents as they were last, names as synchronised
    torn,             // power: names as they were last, half of what was written since the last fsync
  };
  static constexpr Fate kFates[] = {Fate::killed, Fate::nothing_unsynced, Fate::names_first,
                                    Fate::contents_first, Fate::torn};
  void restore(const std::filesystem::path& empty_directory, Fate fate) const;

 private:
  struct File {
    std::string now, synced, points_at;
    bool link = false;
  };
  using Names = std::map<std::string, std::uint64_t>;

  std::map<std::uint64_t, File> files_;
  Names now_, synced_;
  std::uint64_t before_ = 0;  // files that were there
};

const char* name_of(CrashedDisk::Fate fate);

// Calls check(directory, calls that were made, fate) with what may be found after a crash before the first
// call, and after each of them. How many that were.
std::size_t for_each_crash(const std::filesystem::path& before, const std::vector<DiskCall>& calls,
                           const std::function<void(const std::filesystem::path& found, std::size_t made,
                                                    CrashedDisk::Fate fate)>& check);

}  // namespace dl::test
