// SPDX-License-Identifier: MIT
// Where a node keeps the files that it has fetched.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/file.h"

namespace dl::train {

// A directory of files under their SHA-256. Processes share it without a word: a file appears whole, by
// rename, and one that is mapped stays as it is when another takes its name. Whatever lies there may be
// removed at any time.
class Cache {
 public:
  // Nothing is created before begin().
  explicit Cache(fs::path directory) : directory_(std::move(directory)) {}

  // The file with this digest, which is computed anew; nullopt where it is missing, damaged or longer
  // than `most`.
  std::optional<fs::path> find(const std::string& sha256, std::uint64_t most) const;
  // A file whose commit() makes it the one that find() gives. 73 with what to do where that cannot be.
  AtomicFile begin(const std::string& sha256) const;

 private:
  void sweep() const noexcept;  // what killed processes left behind
  fs::path directory_;
};

// $XDG_CACHE_HOME/dl, or $HOME/.cache/dl; 73 where neither is set.
fs::path usual_cache();

}  // namespace dl::train
