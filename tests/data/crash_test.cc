// SPDX-License-Identifier: MIT
// The power fails after any system call of dl-shard, and the disk has what was synchronised, or more.
#include <doctest/doctest.h>

#include <set>

#include "data/append.h"
#include "data/fixtures.h"
#include "data/sharder.h"
#include "support/disk_trace.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;
using test::CrashedDisk;

namespace {

std::string rows_of(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += fmt::format("{},{},{}\n", i, i * 7 % 13, i % 2 == 0 ? "yes" : "no");
  return text;
}

ShardOptions options_for(const fs::path& table, const fs::path& directory) {
  ShardOptions options;
  options.input.files = {table.string()};
  options.directory = directory;
  options.shards = 3;
  options.memory = std::size_t{1} << 20;
  options.threads = 1;
  return options;
}

// The samples of a whole directory; 0: it has no manifest, which is as good. -1: it has one that lies.
std::int64_t samples_in(const fs::path& directory) {
  std::error_code none;
  if (!fs::exists(directory / kManifestName, none)) return 0;
  try {
    const Manifest manifest = read_manifest(directory);
    if (!verify_shards(directory, manifest).empty()) return -1;
    return static_cast<std::int64_t>(manifest.training_samples());
  } catch (const Error&) {
    return -1;
  }
}

struct Made {
  std::set<std::int64_t> samples;  // of what may be found
  std::size_t crashes = 0;
};

// What `work` leaves after a crash; nullopt where it cannot be watched. `directory` is as `before`.
std::optional<Made> crashes_of(const fs::path& before, const fs::path& directory, const std::function<void()>& work) {
  const auto calls = test::trace_disk(directory, work);
  if (!calls) {
    MESSAGE("ptrace is not allowed here: crash points not tried");
    return std::nullopt;
  }
  Made out;
  out.crashes = test::for_each_crash(before, *calls, [&](const fs::path& found, std::size_t made, CrashedDisk::Fate fate) {
    CAPTURE(made);
    CAPTURE(test::name_of(fate));
    const std::int64_t samples = samples_in(found);
    CHECK(samples >= 0);
    out.samples.insert(samples);
  });
  return out;
}

}  // namespace

TEST_CASE("sharder: the power fails after any call, and the manifest is absent, or all that it names is there") {
  const test::Scratch dir, before, made;
  test::write_quickly(dir / "t.csv", rows_of(0, 40));
  const auto found = crashes_of(before.path(), made.path(), [&] { make_shards(options_for(dir / "t.csv", made.path())); });
  if (!found) return;
  CHECK(found->crashes > 60);
  CHECK(found->samples == std::set<std::int64_t>{0, 32});
}

TEST_CASE("append: the power fails after any call, and the old or the new manifest holds") {
  const test::Scratch dir, before, made;
  test::write_quickly(dir / "t.csv", rows_of(0, 40));
  test::write_quickly(dir / "more.csv", rows_of(40, 60));
  for (const auto& directory : {before.path(), made.path()}) make_shards(options_for(dir / "t.csv", directory));
  const auto found = crashes_of(before.path(), made.path(), [&] {
    ShardOptions add = options_for(dir / "more.csv", made.path());
    keep_strategy(read_manifest(made.path()), add);
    add.shards = 2;
    append_shards(add);
  });
  if (!found) return;
  CHECK(found->crashes > 40);
  CHECK(found->samples.contains(32));
  CHECK(found->samples.size() == 2);
  CHECK_FALSE(found->samples.contains(0));
}

TEST_CASE("sharder: the power fails while --force replaces a manifest, and none, the old or the new one holds") {
  const test::Scratch dir, before, made;
  test::write_quickly(dir / "t.csv", rows_of(0, 40));
  test::write_quickly(dir / "u.csv", rows_of(100, 160));
  for (const auto& directory : {before.path(), made.path()}) make_shards(options_for(dir / "t.csv", directory));
  const auto found = crashes_of(before.path(), made.path(), [&] {
    ShardOptions again = options_for(dir / "u.csv", made.path());
    again.force = true;
    make_shards(again);
  });
  if (!found) return;
  CHECK(found->samples == std::set<std::int64_t>{0, 32, 48});
}
