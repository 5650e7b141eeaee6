// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/directory.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"

namespace dl::checkpoint {

namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kSuffix = ".safetensors";
constexpr std::size_t kDigits = 12;
constexpr const char* kBest = "best.safetensors";
constexpr const char* kLatest = "latest";
constexpr const char* kLatestNew = ".latest.tmp";

std::string name_of(std::uint64_t step) { return fmt::format("{}{:012}{}", kPrefix, step, kSuffix); }

std::optional<std::uint64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) ||
      name.size() < kPrefix.size() + kDigits + kSuffix.size()) {
    return std::nullopt;
  }
  const std::string_view digits =
      name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  std::uint64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return step;
}

// Ascending; those that can be seen.
std::vector<std::uint64_t> steps_in(const fs::path& directory, std::error_code& error) {
  std::vector<std::uint64_t> steps;
  const fs::directory_iterator end;
  for (fs::directory_iterator entry(directory, error); !error && entry != end; entry.increment(error)) {
    if (const auto step = step_of(entry->path().filename().string())) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

// AtomicFile's temporary names of our files: left by a writer that was killed.
bool is_leftover(std::string_view name) {
  return name.ends_with(".tmp") &&
         (name.starts_with(".step-") || name.starts_with(".best.safetensors."));
}

void remove_leftovers(const fs::path& directory) {
  std::error_code ignored;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (is_leftover(entry.path().filename().string())) leftovers.push_back(entry.path());
  }
  for (const fs::path& leftover : leftovers) fs::remove(leftover, ignored);
}

// Never absent: a new link is renamed over the old one, and is on the disk before any checkpoint that
// the old one may name is removed.
void point_latest(const fs::path& directory, const std::string& name) {
  const fs::path fresh = directory / kLatestNew;
  const fs::path latest = directory / kLatest;
  ::unlink(fresh.c_str());
  if (::symlink(name.c_str(), fresh.c_str()) != 0) {
    fail_errno(Exit::cannot_create, errno, latest.string() + ": symlink");
  }
  if (::rename(fresh.c_str(), latest.c_str()) != 0) {
    fail_errno(Exit::cannot_create, errno, latest.string() + ": rename");
  }
  sync_directory(directory);
}

}  // namespace

Store::Store(fs::path directory, unsigned keep)
    : directory_(std::move(directory)), keep_(std::max(keep, 1U)) {}

fs::path Store::commit(std::uint64_t step, const Checkpoint& checkpoint) {
  remove_leftovers(directory_);
  const fs::path path = directory_ / name_of(step);
  write_checkpoint(path, checkpoint);
  point_latest(directory_, path.filename().string());
  // Files of later steps did not load when this run was resumed; they are not counted or touched.
  std::error_code unseen;
  std::vector<std::uint64_t> steps = steps_in(directory_, unseen);
  steps.erase(std::upper_bound(steps.begin(), steps.end(), step), steps.end());
  for (std::size_t i = 0; i + keep_ < steps.size(); ++i) {
    std::error_code ignored;
    fs::remove(directory_ / name_of(steps[i]), ignored);
  }
  return path;
}

fs::path Store::commit_best(const Checkpoint& checkpoint) {
  const fs::path path = directory_ / kBest;
  write_checkpoint(path, checkpoint);
  return path;
}

std::optional<Store::Found> Store::newest(std::vector<Error>& passed_over) const {
  std::error_code unseen;
  const std::vector<std::uint64_t> steps = steps_in(directory_, unseen);
  if (unseen && unseen != std::errc::no_such_file_or_directory) {
    fail(Exit::io, "{}: its checkpoints cannot be listed: {}", directory_.string(), unseen.message());
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const fs::path path = directory_ / name_of(*step);
    try {
      return Found{path, read_checkpoint(path)};
    } catch (const Error& error) {
      passed_over.push_back(error);
    }
  }
  return std::nullopt;
}

fs::path find_checkpoint(const fs::path& run_or_file, bool best) {
  std::error_code error;
  if (!fs::is_directory(run_or_file, error)) {
    if (best) fail(Exit::usage, "--best: {} is not a run's directory", run_or_file.string());
    return run_or_file;
  }
  const fs::path found = run_or_file / (best ? kBest : kLatest);
  if (!fs::exists(found, error)) {
    fail(Exit::no_input, "{}: no checkpoint '{}' in this directory{}", run_or_file.string(),
         found.filename().string(),
         best ? "; it needs a validation part (dl-shard --validation)" : " (yet)");
  }
  if (best) return found;
  const fs::path named = fs::read_symlink(found, error);
  return error ? found : run_or_file / named;
}

}  // namespace dl::checkpoint
