// SPDX-License-Identifier: MIT
// RUN/run.json and the ledger beside it, when the power fails after any system call of a start.
#include "run_directory.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "ledger.h"
#include "support/disk_trace.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::tool;
using test::CrashedDisk;
using test::DiskCall;

namespace {

Options options(const fs::path& run) {
  Options o;
  o.run = run;
  o.config.data = "/data";
  o.config.manifest_sha256 = std::string(64, 'a');
  o.config.epochs = 1;
  o.config.schedule.total = 10;
  return o;
}

void begin_group(RunDirectory& run, std::uint32_t generation) {
  run.ledger().append({{"event", "group"}, {"generation", generation}});
  run.begin_generation(generation);
}

// Generation 1 has been; 2 and 3 come, and the run is done.
void prepare(const fs::path& directory) {
  RunDirectory run(options(directory));
  run.begin("127.0.0.1:1");
  run.ledger().append({{"event", "ledger"}});
  begin_group(run, 1);
}
void go_on(const fs::path& directory) {
  RunDirectory run(options(directory));
  run.begin("127.0.0.1:1");
  begin_group(run, 2);
  begin_group(run, 3);
  run.finish({{"event", "done"}, {"steps", 10}, {"checkpoint", "none"}});
}

struct Found {
  std::uint32_t told = 0;       // of the groups in the ledger
  std::uint32_t generation = 0; // that the next start goes on above
  bool done = false;
};

// Throws what is wrong with a directory that was found after a crash.
Found look_at(const fs::path& directory) {
  const fs::path file = directory / "run.json";
  const Json json = parse_json(read_file(file, 1 << 20), file.string());
  const JsonObject run(json, file.string());
  const JsonObject head = run.object("ledger");
  const std::vector<checkpoint::LedgerLine> lines = checkpoint::read_ledger(directory / "ledger");
  const std::uint64_t counted = head.count("lines");
  if (counted > lines.size()) fail(Exit::no, "run.json counts {} lines, there are {}", counted, lines.size());
  if (counted > 0 && lines[counted - 1].sha256 != head.text("sha256")) fail(Exit::no, "another line {}", counted);
  Found found{newest_generation(directory / "ledger"), 0, run.has("done")};
  RunDirectory next(options(directory));
  next.begin("127.0.0.1:1");
  found.generation = next.generation();
  begin_group(next, found.generation + 1);
  return found;
}

std::optional<std::vector<DiskCall>> traced(const fs::path& before, const test::Scratch& work) {
  fs::copy(before, work.path(), fs::copy_options::recursive);
  auto calls = test::trace_disk(work.path(), [&] { go_on(work.path()); });
  if (!calls) MESSAGE("ptrace is not allowed here: crash points not tried");
  return calls;
}

bool names_run_json(const DiskCall& call) { return call.kind == DiskCall::Kind::rename && call.other == "run.json"; }

// The generation that was on the disk for sure after so many calls: a start writes run.json, so does each group.
std::uint32_t recorded(const std::vector<DiskCall>& calls, std::size_t made) {
  std::uint32_t written = 0;
  bool named = false;
  for (std::size_t i = 0; i < made; ++i) {
    named = named || names_run_json(calls[i]);
    if (calls[i].kind == DiskCall::Kind::sync_directory && std::exchange(named, false)) ++written;
  }
  return std::clamp(written, 1U, 3U);
}

}  // namespace

TEST_CASE("run.json: the power fails after any call, and the old or the new one is there, with its ledger") {
  const test::Scratch before, work;
  prepare(before.path());
  const auto calls = traced(before.path(), work);
  if (!calls) return;
  CHECK(std::ranges::count_if(*calls, names_run_json) == 4);
  std::set<std::uint32_t> seen;
  std::set<bool> done;
  const std::size_t crashes = test::for_each_crash(
      before.path(), *calls, [&](const fs::path& found, std::size_t made, CrashedDisk::Fate fate) {
        CAPTURE(made);
        CAPTURE(test::name_of(fate));
        Found state;
        REQUIRE_NOTHROW(state = look_at(found));
        CHECK(state.generation >= recorded(*calls, made));
        CHECK(state.generation >= state.told);  // or the ledger would have one generation twice
        seen.insert(state.generation);
        done.insert(state.done);
      });
  CHECK(crashes > 60);
  CHECK(seen == std::set<std::uint32_t>{1, 2, 3});
  CHECK(done.size() == 2);
}

TEST_CASE("run.json: a commit that left out an fsync would be found") {
  const test::Scratch before, work;
  prepare(before.path());
  auto calls = traced(before.path(), work);
  if (!calls) return;
  std::erase_if(*calls, [](const DiskCall& call) { return call.kind == DiskCall::Kind::sync_file; });
  int wrong = 0;
  test::for_each_crash(before.path(), *calls, [&](const fs::path& found, std::size_t, CrashedDisk::Fate) {
    try {
      look_at(found);
    } catch (const Error&) {
      ++wrong;
    }
  });
  CHECK(wrong > 0);
}

TEST_CASE("run.json: the power fails while a run begins, and it is there or begins again") {
  const test::Scratch before, work;
  const auto begin = [](const fs::path& directory) {
    RunDirectory run(options(directory));
    run.begin("127.0.0.1:1");
  };
  const auto calls = test::trace_disk(work.path(), [&] { begin(work.path()); });
  if (!calls) return;
  test::for_each_crash(before.path(), *calls, [&](const fs::path& found, std::size_t made, CrashedDisk::Fate fate) {
    CAPTURE(test::name_of(fate));
    if (made == calls->size()) CHECK(fs::exists(found / "run.json"));
    REQUIRE_NOTHROW(begin(found));
    const Json json = parse_json(read_file(found / "run.json", 1 << 20), "run.json");
    CHECK(json.at("generation") == 0);
  });
}
