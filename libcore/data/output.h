// SPDX-License-Identifier: MIT
// The directory that dl-shard makes: all of it or nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/shard_writer.h"

namespace dl::data {

// Shards are written under temporary names, then commit_shards() and commit_manifest() make all
// appear. Whatever has appeared, and the directory where it is new, is removed again unless the
// manifest was committed.
class Output {
 public:
  // Creates the directory; 73 where that fails, or it holds a manifest and `force` is not set.
  Output(const fs::path& directory, bool force);
  // Adds to what the directory holds: nothing of it is removed, but for the manifest that is replaced.
  explicit Output(const fs::path& directory) : directory_(directory), adds_(true) {}
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  const fs::path& directory() const { return directory_; }
  ShardWriter& open(const std::string& name, const ShardShape& shape);
  std::vector<ShardEntry> commit_shards();  // in the order of open(); an old manifest goes first
  void commit_manifest(const std::string& text);  // then old shards go that were not written anew

 private:
  void remove_old_shards() const;

  fs::path directory_;
  std::vector<fs::path> created_;  // directories, the outermost first
  std::vector<std::unique_ptr<ShardWriter>> writers_;
  std::vector<std::string> names_;
  std::size_t committed_ = 0;
  bool adds_ = false, done_ = false;
};

}  // namespace dl::data
