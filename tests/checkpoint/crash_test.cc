// SPDX-License-Identifier: MIT
// The power fails after any system call of a commit, and the disk has what was synchronised, or more.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/ledger.h"
#include "sample.h"
#include "support/disk_trace.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::checkpoint;
using test::CrashedDisk;
using test::DiskCall;

namespace {

Checkpoint at_step(std::uint64_t step) {
  Checkpoint c = test::sample_checkpoint();
  c.cursors["step"] = step;
  return c;
}

// Steps 1 and 2 are there; 3 is committed, and 1 goes.
void prepare(const fs::path& directory) {
  Store store(directory, 2);
  store.commit(1, at_step(1));
  store.commit(2, at_step(2));
}
void commit(const fs::path& directory) { Store(directory, 2).commit(3, at_step(3)); }

// What is wrong with a directory that was found after a crash; empty: nothing.
std::string wrong_with(const fs::path& found, std::set<std::uint64_t>& seen) {
  std::vector<Error> passed_over;
  const auto newest = Store(found, 2).newest(passed_over);
  if (!passed_over.empty()) return passed_over.front().what();
  if (!newest) return "no checkpoint loads";
  const std::uint64_t step = newest->checkpoint.cursors.at("step");
  if (step < 2) return "the newest is older than what was announced";
  seen.insert(step);
  try {
    if (read_checkpoint(found / "latest").cursors.at("step") < 2) return "latest is older than what was announced";
    commit(found);  // and the next writer goes on
    if (read_checkpoint(found / "latest") != at_step(3)) return "latest is not the next one";
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// How many crashes of these calls leave something wrong.
int wrong_crashes(const fs::path& before, const std::vector<DiskCall>& calls) {
  int wrong = 0;
  std::set<std::uint64_t> seen;
  test::for_each_crash(before, calls, [&](const fs::path& found, std::size_t, CrashedDisk::Fate) {
    if (!wrong_with(found, seen).empty()) ++wrong;
  });
  return wrong;
}

std::vector<DiskCall> without(std::vector<DiskCall> calls, DiskCall::Kind kind) {
  std::erase_if(calls, [kind](const DiskCall& call) { return call.kind == kind; });
  return calls;
}

bool traced(const std::optional<std::vector<DiskCall>>& calls) {
  if (!calls) MESSAGE("ptrace is not allowed here: crash points not tried");
  return calls.has_value();
}

}  // namespace

TEST_CASE("store: the power fails after any call of a commit, and the old or the new one is there") {
  const test::Scratch before, work;
  prepare(before.path());
  prepare(work.path());
  const auto calls = test::trace_disk(work.path(), [&] { commit(work.path()); });
  if (!traced(calls)) return;
  std::set<std::uint64_t> seen;
  const std::size_t crashes = test::for_each_crash(
      before.path(), *calls, [&](const fs::path& found, std::size_t made, CrashedDisk::Fate fate) {
        CAPTURE(made);
        CAPTURE(test::name_of(fate));
        CHECK(wrong_with(found, seen) == "");
      });
  CHECK(crashes > 40);
  CHECK(seen == std::set<std::uint64_t>{2, 3});
}

TEST_CASE("store: a commit that left out an fsync, or renamed first, would be found") {
  const test::Scratch before, work;
  prepare(before.path());
  prepare(work.path());
  const auto calls = test::trace_disk(work.path(), [&] { commit(work.path()); });
  if (!traced(calls)) return;
  REQUIRE(wrong_crashes(before.path(), *calls) == 0);
  CHECK(wrong_crashes(before.path(), without(*calls, DiskCall::Kind::sync_file)) > 0);
  std::vector<DiskCall> early = *calls;
  const auto is_rename = [](const DiskCall& call) { return call.kind == DiskCall::Kind::rename; };
  const auto rename = std::find_if(early.begin(), early.end(), is_rename);
  const auto sync = std::find_if(early.begin(), early.end(),
                                 [](const DiskCall& call) { return call.kind == DiskCall::Kind::sync_file; });
  REQUIRE(sync < rename);
  std::rotate(sync, rename, rename + 1);
  CHECK(wrong_crashes(before.path(), early) > 0);
}

TEST_CASE("store: without the fsync of the directory, an announced checkpoint could be gone") {
  const test::Scratch before, work;
  prepare(before.path());
  prepare(work.path());
  const auto calls = test::trace_disk(work.path(), [&] { commit(work.path()); });
  if (!traced(calls)) return;
  // commit() has returned, so step 3 is announced.
  const auto newest_after = [&](const std::vector<DiskCall>& made) {
    CrashedDisk disk(before.path());
    for (const DiskCall& call : made) disk.apply(call);
    const test::Scratch found;
    disk.restore(found.path(), CrashedDisk::Fate::nothing_unsynced);
    std::vector<Error> passed_over;
    const auto newest = Store(found.path(), 2).newest(passed_over);
    return newest ? newest->checkpoint.cursors.at("step") : 0;
  };
  CHECK(newest_after(*calls) == 3);
  CHECK(newest_after(without(*calls, DiskCall::Kind::sync_directory)) < 3);
}

TEST_CASE("ledger: the power fails after any call, and every line that was synchronised is there") {
  const test::Scratch before, work;
  for (const auto& dir : {before.path(), work.path()}) {
    Ledger ledger(dir / "ledger");
    ledger.append({{"event", "old"}});
    ledger.sync();
  }
  const auto calls = test::trace_disk(work.path(), [&] {
    Ledger ledger(work / "ledger");
    for (int i = 0; i < 3; ++i) {
      ledger.append({{"event", "group"}, {"number", i}});
      ledger.append({{"event", "joined"}, {"number", i}});
      ledger.sync();
    }
  });
  if (!traced(calls)) return;
  std::set<std::size_t> seen;
  const std::size_t crashes = test::for_each_crash(
      before.path(), *calls, [&](const fs::path& found, std::size_t made, CrashedDisk::Fate fate) {
        CAPTURE(made);
        CAPTURE(test::name_of(fate));
        const auto synced = static_cast<std::size_t>(
            2 * std::count_if(calls->begin(), calls->begin() + static_cast<std::ptrdiff_t>(made), [](const DiskCall& call) {
              return call.kind == DiskCall::Kind::sync_file;
            }));
        const std::size_t lines = read_ledger(found / "ledger").size();
        seen.insert(lines);
        CHECK(lines >= 1 + synced);
        Ledger(found / "ledger").append({{"event", "next"}});
        CHECK(read_ledger(found / "ledger").size() == lines + 1);
      });
  CHECK(crashes > 30);
  CHECK(seen.size() > 4);
}

TEST_CASE("ledger: the power fails while a new one begins, and it is there or begins again") {
  const test::Scratch before, work;
  const auto begin = [](const fs::path& dir) {
    Ledger ledger(dir / "ledger");
    ledger.append({{"event", "ledger"}});
    ledger.sync();
  };
  const auto calls = test::trace_disk(work.path(), [&] { begin(work.path()); });
  if (!traced(calls)) return;
  test::for_each_crash(before.path(), *calls, [&](const fs::path& found, std::size_t made, CrashedDisk::Fate fate) {
    CAPTURE(test::name_of(fate));
    if (made == calls->size()) CHECK(read_ledger(found / "ledger").size() == 1);
    Ledger ledger(found / "ledger");
    if (ledger.head().lines == 0) ledger.append({{"event", "ledger"}});
    CHECK(read_ledger(found / "ledger").size() == 1);
  });
}
