// SPDX-License-Identifier: MIT
#include "data/output.h"

#include <algorithm>

#include "base/error.h"

namespace dl::data {

namespace {

// A name that dl-shard gives, or the temporary one of such a file.
bool is_ours(const std::string& name) {
  const bool shard = name.starts_with("shard-") && name.ends_with(".dls");
  const bool left_over = name.ends_with(".tmp") &&
                         (name.starts_with(".shard-") || name.starts_with(".test") ||
                          name.starts_with(".validation") || name.starts_with(".manifest.json."));
  const bool part = name.starts_with("test") || name.starts_with("validation");
  return shard || left_over || (part && name.ends_with(".dls"));
}

}  // namespace

Output::Output(const fs::path& directory, bool force) : directory_(directory) {
  std::error_code error;  // what cannot be looked at cannot be created either, as is said below
  if (!force && fs::exists(directory_ / "manifest.json", error)) {
    fail(Exit::cannot_create, "{}: holds a manifest already; say --force to replace it, or another -o",
         directory_.string());
  }
  for (fs::path path = directory_; !path.empty() && !fs::exists(path, error); path = path.parent_path()) {
    created_.insert(created_.begin(), path);
  }
  fs::create_directories(directory_, error);
  std::error_code ignored;
  if (error || !fs::is_directory(directory_, ignored)) {
    created_.clear();
    fail(Exit::cannot_create, "{}: cannot create the directory: {}", directory_.string(),
         error ? error.message() : "a file is there");
  }
}

Output::~Output() {
  writers_.clear();
  if (done_) return;
  std::error_code ignored;
  for (std::size_t i = 0; i < committed_; ++i) fs::remove(directory_ / names_[i], ignored);
  for (auto at = created_.rbegin(); at != created_.rend(); ++at) fs::remove(*at, ignored);
}

ShardWriter& Output::open(const std::string& name, const ShardShape& shape) {
  writers_.push_back(std::make_unique<ShardWriter>(directory_ / name, shape));
  names_.push_back(name);
  return *writers_.back();
}

std::vector<ShardEntry> Output::commit_shards() {
  std::vector<ShardEntry> entries;
  std::error_code error;
  if (!adds_) fs::remove(directory_ / "manifest.json", error);
  if (error) {
    fail(Exit::cannot_create, "{}: cannot remove the old manifest: {}", directory_.string(),
         error.message());
  }
  for (const auto& writer : writers_) {
    entries.push_back(writer->commit());
    ++committed_;
  }
  return entries;
}

void Output::commit_manifest(const std::string& text) {
  write_file(directory_ / "manifest.json", text);
  done_ = true;
  if (!adds_) remove_old_shards();
}

void Output::remove_old_shards() const {
  std::error_code ignored;
  std::vector<fs::path> old;
  for (fs::directory_iterator at(directory_, ignored), end; at != end; at.increment(ignored)) {
    const std::string name = at->path().filename().string();
    if (is_ours(name) && std::find(names_.begin(), names_.end(), name) == names_.end()) {
      old.push_back(at->path());
    }
  }
  for (const fs::path& path : old) fs::remove(path, ignored);
}

}  // namespace dl::data
