// SPDX-License-Identifier: MIT
#include "train/cache.h"

#include <chrono>
#include <cstdlib>

#include "base/error.h"
#include "base/hash.h"

namespace dl::train {

namespace {

constexpr std::chrono::hours kAbandoned(24);  // nobody writes one file for so long

}  // namespace

std::optional<fs::path> Cache::find(const std::string& sha256, std::uint64_t most) const {
  const fs::path path = directory_ / sha256;
  std::error_code error;
  if (!fs::is_regular_file(path, error) || fs::file_size(path, error) > most) return std::nullopt;
  try {
    if (sha256_of_file(path) == sha256) return path;
  } catch (const Error&) {
    return std::nullopt;  // another one may take its place
  }
  return std::nullopt;
}

AtomicFile Cache::begin(const std::string& sha256) const {
  std::error_code error;
  const bool made = fs::create_directories(directory_, error);
  if (error) {
    fail(Exit::cannot_create, "{}: cannot create this directory for what is fetched: {}; --cache DIR takes another",
         directory_.string(), error.message());
  }
  // Data may be private; the directory of it is nobody else's.
  if (made) fs::permissions(directory_, fs::perms::owner_all, error);
  sweep();
  try {
    return AtomicFile(directory_ / sha256);
  } catch (const Error& failed) {
    fail(failed.code(), "{}; --cache DIR takes another directory", failed.what());
  }
}

void Cache::sweep() const noexcept try {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') || !name.ends_with(".tmp")) continue;
    const fs::file_time_type written = entry.last_write_time(error);
    if (!error && fs::file_time_type::clock::now() - written > kAbandoned) fs::remove(entry.path(), error);
  }
} catch (const std::exception&) {
  return;  // the next one tries again
}

fs::path usual_cache() {
  // As the XDG base directory specification has it: a relative path does not count.
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/') {
    return fs::path(cache) / "dl";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    return fs::path(home) / ".cache" / "dl";
  }
  fail(Exit::cannot_create, "neither XDG_CACHE_HOME nor HOME names a directory to keep fetched files in; "
                            "--cache DIR does");
}

}  // namespace dl::train
