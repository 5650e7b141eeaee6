// SPDX-License-Identifier: MIT
// The log of an asynchronous run: what is written is read again, and what is not as it must be is refused.
#include "train/update_log.h"

#include <doctest/doctest.h>

#include <fstream>
#include <functional>
#include <string>

#include "base/error.h"
#include "support/disk_trace.h"
#include "support/scratch.h"

using namespace dl;
using train::RoundRecord;
using train::UpdateLog;
using train::UpdateReader;

namespace {

const train::LoggedRun kRun = {"run one", 0};

// Two ranks with a unit each; three steps from `first` on.
RoundRecord round_from(std::uint64_t first) {
  RoundRecord r;
  r.first = first;
  r.last = first + 3;
  r.total = 300;
  r.shards = 3;
  r.parts = 2;
  r.units = {{{0, 2}, 0}, {{2, 3}, 1}};
  r.reads = {{first, first, first, first + 1, first + 2, first + 1}, {first, first, first, first, first, first}};
  r.arrivals = {{0, 1, 0, 1, 0, 1}, {0, 0, 1, 0, 1, 1}};
  return r;
}

void append(UpdateLog& log, const RoundRecord& round) { log.append(round.first, round.last, round.encode()); }

Bytes contents(const fs::path& path) {
  const std::string text = read_file(path, 1 << 20);
  const ByteView bytes = as_bytes_of(std::string_view(text));
  return {bytes.begin(), bytes.end()};
}

void overwrite(const fs::path& path, ByteView bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Exit code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code();
  }
  return Exit::ok;
}

std::uint64_t steps_in(const fs::path& path) {
  UpdateReader reader(path);
  while (reader.next()) {
  }
  return reader.step();
}

}  // namespace

TEST_CASE("update log: what was appended is read, round by round") {
  const test::Scratch dir;
  const fs::path path = dir / "updates.log";
  {
    UpdateLog log(path, kRun, 0);
    append(log, round_from(0));
    append(log, round_from(3));
    append(log, round_from(3));  // another node tells the same
    append(log, round_from(0));
    log.sync();
  }
  UpdateReader reader(path);
  CHECK(reader.run_id() == "run one");
  CHECK(reader.next() == round_from(0));
  CHECK(reader.next() == round_from(3));
  CHECK_FALSE(reader.next());
  CHECK(reader.step() == 6);
}

TEST_CASE("update log: it has the bytes that dl-updates(5) shows") {
  const test::Scratch dir;
  const fs::path path = dir / "updates.log";
  UpdateLog log(path, {"r", 0}, 0);
  RoundRecord round;
  round.last = 1;
  round.total = 300;
  round.shards = 2;
  round.parts = 1;
  round.units = {{{0, 2}, 0}};
  round.reads = {{0}};
  round.arrivals = {{0}};
  append(log, round);
  std::string hex;
  for (const std::byte b : contents(path)) hex += fmt::format("{:02x}", static_cast<unsigned>(b));
  CHECK(hex == "646c757064617465" "02000000" "01000000" "72" "00000000" "03c8d477"
               "0c000000" "0001ac02020101" "000002" "00" "00" "a438cfd2");
}

namespace {

// As dl wrote it when parts were of equal length: the page's example then.
Bytes first_version() {
  constexpr std::string_view kHex = "646c757064617465" "01000000" "01000000" "72" "a0488d7f"
                                    "0c000000" "0001ac02020101" "000002" "00" "00" "a438cfd2";
  Bytes bytes;
  for (std::size_t i = 0; i < kHex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(kHex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

}  // namespace

TEST_CASE("update log: one of another version is refused as such") {
  const test::Scratch dir;
  const fs::path path = dir / "updates.log";
  overwrite(path, first_version());
  CHECK(code_of([&] { UpdateReader{path}; }) == Exit::disagree);
  CHECK(code_of([&] { UpdateLog(path, {"r", 0}, 1); }) == Exit::disagree);
}

TEST_CASE("update log: of a compressed run, units are its groups, and no others") {
  const test::Scratch dir;
  const fs::path path = dir / "updates.log";
  RoundRecord round = round_from(0);  // of 3 shards, in 2 groups: 0, and 1 to 2
  round.groups = 2;
  round.units = {{{0, 1}, 0}, {{1, 3}, 1}};
  {
    UpdateLog log(path, {"run one", 2}, 0);
    append(log, round);
    CHECK(code_of([&] { append(log, round_from(3)); }) == Exit::data);  // subtrees
  }
  UpdateReader reader(path);
  CHECK(reader.groups() == 2);
  CHECK(reader.next() == round);
  CHECK(code_of([&] { train::check_updates(path, {"run one", 2}, 3, 3); }) == Exit::ok);
  CHECK(code_of([&] { train::check_updates(path, {"run one", 3}, 3, 3); }) == Exit::disagree);
  CHECK(code_of([&] { train::check_updates(path, kRun, 3, 3); }) == Exit::disagree);
  CHECK(code_of([&] { RoundRecord::decode(round.encode(), 3, "it"); }) == Exit::data);
  CHECK(code_of([&] { RoundRecord::decode(round.encode(), 4, "it"); }) == Exit::data);  // more than shards
  CHECK(code_of([&] { RoundRecord::decode(round.encode(), 0, "it"); }) == Exit::data);
}

TEST_CASE("update log: every record that is cut short is refused, where the run needs it") {
  const test::Scratch dir;
  const fs::path path = dir / "updates.log";
  {
    UpdateLog log(path, kRun, 0);
    append(log, round_from(0));
    append(log, round_from(3));
  }
  const Bytes whole = contents(path);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    overwrite(path, ByteView(whole).first(n));
    CHECK(code_of([&] { UpdateReader(path).pass_to(6); }) == Exit::data);
    CHECK(code_of([&] { UpdateLog(path, kRun, 6); }) == Exit::data);
    CHECK(contents(path).size() == n);  // and left as it is
  }
}

TEST_CASE("update log: every flipped bit is refused, another version or run with 76") {
  const test::Scratch dir;
  const fs::path path = dir / "updates.log";
  {
    UpdateLog log(path, kRun, 0);
    append(log, round_from(0));
    append(log, round_from(3));
  }
  Bytes bytes = contents(path);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      bytes[i] ^= std::byte{1} << bit;
      overwrite(path, bytes);
      const Exit wanted = i >= 8 && i < 12 ? Exit::disagree : Exit::data;
      CHECK(code_of([&] { UpdateReader(path).pass_to(6); }) == wanted);
      bytes[i] ^= std::byte{1} << bit;
    }
  }
  overwrite(path, bytes);
  CHECK(code_of([&] { UpdateLog(path, {"run two", 0}, 3); }) == Exit::disagree);
  CHECK(code_of([&] { UpdateLog(dir / "none", kRun, 3); }) == Exit::no_input);
  CHECK(steps_in(path) == 6);
}

TEST_CASE("update log: a run that goes on from a step forgets what was behind it, whole or torn") {
  const test::Scratch dir;
  const fs::path path = dir / "updates.log";
  {
    UpdateLog log(path, kRun, 0);
    append(log, round_from(0));
    append(log, round_from(3));
    log.go_on_from(3);
    CHECK(steps_in(path) == 3);
    log.go_on_from(3);
    append(log, round_from(3));
    append(log, round_from(6));
    CHECK(code_of([&] { log.go_on_from(5); }) == Exit::data);  // no border
  }
  CHECK(steps_in(path) == 9);
  Bytes torn = contents(path);
  torn.resize(torn.size() - 1);
  overwrite(path, torn);
  {
    UpdateLog log(path, kRun, 6);
    append(log, round_from(6));
  }
  CHECK(steps_in(path) == 9);
  {
    const UpdateLog log(path, kRun, 0);
  }
  CHECK(steps_in(path) == 0);
}

TEST_CASE("update log: what does not follow, or is no record, is refused and changes nothing") {
  const test::Scratch dir;
  const fs::path path = dir / "updates.log";
  UpdateLog log(path, kRun, 0);
  append(log, round_from(0));
  const Bytes before = contents(path);
  CHECK(code_of([&] { append(log, round_from(4)); }) == Exit::data);
  const Bytes next = round_from(3).encode();
  CHECK(code_of([&] { log.append(3, 7, next); }) == Exit::data);
  CHECK(code_of([&] { log.append(3, 6, ByteView(next).first(next.size() - 1)); }) == Exit::data);
  CHECK(contents(path) == before);
  append(log, round_from(3));
  CHECK(steps_in(path) == 6);
}

namespace {

// Checkpoints, as far as this is about: a file is there, or it is not.
void commit(const fs::path& directory, std::uint64_t step, UpdateLog& log) {
  log.sync();
  write_file(directory / fmt::format("step-{}", step), "");
}

// Two checkpoints; before the second one a group breaks, and the run goes back to the first.
void two_checkpoints(const fs::path& directory) {
  UpdateLog log(directory / "updates.log", kRun, 0);
  append(log, round_from(0));
  commit(directory, 3, log);
  append(log, round_from(3));
  append(log, round_from(6));
  log.go_on_from(3);
  RoundRecord other = round_from(3);
  other.arrivals[0] = {1, 0, 1, 0, 1, 0};
  append(log, other);
  commit(directory, 6, log);
}

// Crashes after which the newest checkpoint cannot be done again, or gone on from.
int wrong_crashes(const fs::path& before, const std::vector<test::DiskCall>& calls) {
  int wrong = 0;
  test::for_each_crash(before, calls, [&](const fs::path& found, std::size_t, test::CrashedDisk::Fate) {
    const std::uint64_t step = fs::exists(found / "step-6") ? 6 : fs::exists(found / "step-3") ? 3 : 0;
    if (step == 0) return;
    const fs::path path = found / "updates.log";
    const Exit code = code_of([&] {
      train::check_updates(path, kRun, 3, step);
      UpdateLog log(path, kRun, step);
      append(log, round_from(step));
      log.sync();
      train::check_updates(path, kRun, 3, step + 3);
    });
    if (code != Exit::ok) ++wrong;
  });
  return wrong;
}

}  // namespace

TEST_CASE("update log: the power fails after any call, and the newest checkpoint can be done again") {
  const test::Scratch before, work;
  auto calls = test::trace_disk(work.path(), [&] { two_checkpoints(work.path()); });
  if (!calls) {
    MESSAGE("ptrace is not allowed here: crash points not tried");
    return;
  }
  CHECK(wrong_crashes(before.path(), *calls) == 0);
  std::erase_if(*calls, [](const test::DiskCall& call) {
    return call.kind == test::DiskCall::Kind::sync_file && call.path == "updates.log";
  });
  CHECK(wrong_crashes(before.path(), *calls) > 0);  // this can be seen to fail
}

TEST_CASE("round record: what contradicts itself is refused") {
  const auto refused = [](const std::function<void(RoundRecord&)>& change) {
    RoundRecord r = round_from(3);
    change(r);
    return code_of([&] { RoundRecord::decode(r.encode(), 0, "it"); }) == Exit::data;
  };
  CHECK_FALSE(refused([](RoundRecord&) {}));
  CHECK(RoundRecord::decode(round_from(3).encode(), 0, "it") == round_from(3));
  CHECK(refused([](RoundRecord& r) { r.last = 3; }));
  CHECK(refused([](RoundRecord& r) { r.last = 5; }));                    // too many numbers
  CHECK(refused([](RoundRecord& r) { r.last = 7; }));                    // too few
  CHECK(refused([](RoundRecord& r) { r.total = 5; }));
  CHECK(refused([](RoundRecord& r) { r.units.pop_back(); }));            // a shard left out
  CHECK(refused([](RoundRecord& r) { r.units[1].shards.begin = 1; }));   // one twice
  CHECK(refused([](RoundRecord& r) { std::swap(r.units[0], r.units[1]); }));
  CHECK(refused([](RoundRecord& r) {                                     // no subtree
    r.units[0].shards.end = 1;
    r.units[1].shards.begin = 1;
  }));
  CHECK(refused([](RoundRecord& r) { r.units[1].rank = 2; }));
  CHECK(refused([](RoundRecord& r) { r.reads[0][5] = 3; }));             // it went back
  CHECK(refused([](RoundRecord& r) { r.reads[0][4] = 7; }));             // a version that never was
  CHECK(refused([](RoundRecord& r) { r.arrivals[0][0] = 2; }));
  CHECK(refused([](RoundRecord& r) { r.arrivals[1][2] = 0; }));          // one unit four times
}
