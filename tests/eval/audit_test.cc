// SPDX-License-Identifier: MIT
#include "eval/audit.h"

#include <doctest/doctest.h>

#include <functional>

#include "base/error.h"
#include "base/hash.h"

using namespace dl;
using eval::RunFacts;

namespace {

// A ledger's lines, chained as they should be whatever they say.
std::vector<checkpoint::LedgerLine> chained(const std::vector<Json>& entries) {
  std::vector<checkpoint::LedgerLine> lines;
  std::string before(64, '0');
  for (Json entry : entries) {
    entry["previous"] = before;
    before = sha256_hex(as_bytes_of(dump_line(entry)));
    lines.push_back({parse_json(dump_line(entry), "line"), before});
  }
  return lines;
}

using Ranges = std::vector<std::vector<std::uint32_t>>;
Json member(std::uint64_t pid, const Ranges& shards) { return {{"host", "h"}, {"pid", pid}, {"shards", shards}}; }
Json joined(std::uint64_t pid) { return {{"event", "joined"}, {"host", "h"}, {"pid", pid}}; }
Json lost(std::uint64_t pid) { return {{"event", "lost"}, {"host", "h"}, {"pid", pid}}; }
Json saved(std::uint64_t step, const char* sha) {
  return {{"event", "checkpoint"}, {"step", step}, {"params_sha256", sha}};
}
Json group(std::uint64_t generation, std::uint64_t step, const std::vector<Json>& members) {
  return {{"event", "group"}, {"generation", generation}, {"step", step}, {"members", members}};
}
Json begun() {
  return {{"event", "ledger"}, {"format", "dl 1"}, {"run_id", "r"}, {"manifest_sha256", "m"}, {"batch", 4}, {"shards", 3}};
}
Json started(std::uint64_t step, const char* sha) {
  Json line{{"event", "start"}, {"step", step}};
  if (step > 0) line["params_sha256"] = sha;
  return line;
}

// 10 samples in three shards, 3 steps an epoch. The first coordinator dies after step 5, the checkpoint
// is that of step 3; the second one trains to step 6, and one of its nodes is lost on the way.
std::vector<Json> story() {
  return {begun(), started(0, ""), joined(1), joined(2),
          group(1, 0, {member(1, {{0, 1}}), member(2, {{2, 2}})}), saved(3, "three"),
          lost(2), group(2, 4, {member(1, {{0, 2}})}),
          started(3, "three"), joined(7), joined(8),
          group(3, 3, {member(7, {{1, 1}}), member(8, {{0, 0}, {2, 2}})}), lost(7),
          group(5, 5, {member(8, {{0, 2}})}), saved(6, "six"),
          {{"event", "done"}, {"step", 6}, {"params_sha256", "six"}}, {{"event", "end"}, {"code", 0}}};
}

RunFacts facts() {
  return {.run_id = "r", .manifest_sha256 = "m", .batch = 4, .shard_samples = {4, 3, 3},
          .recorded = {}, .newest = RunFacts::Newest{6, 20, "six"}};
}

// What the audit says against it; empty: nothing.
std::string finding(const std::vector<Json>& entries, const RunFacts& with = facts()) {
  try {
    eval::audit(chained(entries), with, "ledger");
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Exit::no);
    return error.what();
  }
}

std::string changed(std::size_t line, const std::function<void(Json&)>& change) {
  std::vector<Json> entries = story();
  change(entries[line]);
  return finding(entries);
}

}  // namespace

TEST_CASE("audit: the lineage that was committed is what counts") {
  const eval::Audit audit = eval::audit(chained(story()), facts(), "ledger");
  REQUIRE(audit.lineage.size() == 3);  // step 4 of generation 1 and what generation 2 did were done again
  CHECK(audit.lineage[0].generation == 1);
  CHECK(audit.lineage[0].end == 3);
  CHECK(audit.lineage[1].generation == 3);
  CHECK(audit.lineage[1].begin == 3);
  CHECK(audit.lineage[1].end == 5);
  CHECK(audit.lineage[2].end == 6);
  CHECK(audit.redone == 1);
  CHECK(audit.starts == 2);
  CHECK(audit.losses == 2);
  CHECK(audit.samples == 20);
  CHECK(audit.whole_epochs == 2);
  CHECK(audit.steps_of_next == 0);
  CHECK(audit.done);
}

TEST_CASE("audit: a run that was stopped within an epoch is proved up to its checkpoint") {
  std::vector<Json> entries = story();
  entries.resize(14);
  entries.push_back(saved(5, "five"));
  RunFacts with = facts();
  with.newest = RunFacts::Newest{5, 16, "five"};  // 10, then two of three steps of 4, 3 and 3
  const eval::Audit audit = eval::audit(chained(entries), with, "ledger");
  CHECK(audit.whole_epochs == 1);
  CHECK(audit.steps_of_next == 2);
  CHECK_FALSE(audit.done);
}

TEST_CASE("audit: every line of a story is needed, and none may stand twice") {
  const std::vector<checkpoint::LedgerLine> whole = chained(story());
  RunFacts with = facts();
  with.recorded = {whole.size(), whole.back().sha256};
  const auto holds = [&](const std::vector<Json>& entries) { return finding(entries, with).empty(); };
  REQUIRE(holds(story()));
  // The chain is made anew by a forger; what run.json counted is not.
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(i);
    std::vector<Json> entries = story();
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK_FALSE(holds(entries));
    entries = story();
    entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(i), story()[i]);
    CHECK_FALSE(holds(entries));
    entries = story();
    entries[i]["more"] = 1;
    CHECK_FALSE(holds(entries));
  }
}

TEST_CASE("audit: what lines say must go together") {
  CHECK(finding(story()).empty());
  CHECK(changed(0, [](Json& line) { line["run_id"] = "s"; }).find("run_id is 's', the run's is 'r'") != std::string::npos);
  CHECK(changed(0, [](Json& line) { line["manifest_sha256"] = "n"; }).find("manifest") != std::string::npos);
  CHECK(changed(0, [](Json& line) { line["batch"] = 5; }).find("batch") != std::string::npos);
  CHECK(changed(0, [](Json& line) { line["shards"] = 4; }).find("shards") != std::string::npos);
  CHECK(changed(4, [](Json& line) { line["members"][0]["shards"] = Ranges{{0, 0}}; }).find("shard 1 has 0 owners") != std::string::npos);
  CHECK(changed(4, [](Json& line) { line["members"][0]["shards"] = Ranges{{0, 2}}; }).find("shard 2 has 2 owners") != std::string::npos);
  CHECK(changed(4, [](Json& line) { line["members"][0]["shards"] = Ranges{{0, 9}}; }).find("9") != std::string::npos);
  CHECK(changed(4, [](Json& line) { line["members"][0]["pid"] = 9; }).find("pid 9) had not joined") != std::string::npos);
  CHECK(changed(4, [](Json& line) { line["step"] = 1; }).find("nobody trained the steps before 1") != std::string::npos);
  CHECK(changed(7, [](Json& line) { line["members"][0]["pid"] = 2; }).find("or was lost") != std::string::npos);
  CHECK(changed(7, [](Json& line) { line["generation"] = 1; }).find("generation 1 after generation 1") != std::string::npos);
  CHECK(changed(8, [](Json& line) { line["step"] = 4; }).find("step 4, which was never saved") != std::string::npos);
  CHECK(changed(8, [](Json& line) { line["params_sha256"] = "four"; }).find("'four'") != std::string::npos);
  CHECK(changed(14, [](Json& line) { line["params_sha256"] = "other"; }).find("'other'") != std::string::npos);
  CHECK(changed(15, [](Json& line) { line["step"] = 5; }).find("done at step 5") != std::string::npos);
  CHECK(changed(4, [](Json& line) { line.erase("members"); }).find("members") != std::string::npos);

  RunFacts other = facts();
  other.newest->samples = 19;
  CHECK(finding(story(), other).find("used 20 samples, the checkpoint counted 19") != std::string::npos);
  other = facts();
  other.newest->step = 5;
  CHECK(finding(story(), other).find("no line tells of the checkpoint of step 5") != std::string::npos);
  other = facts();
  other.newest.reset();
  CHECK(finding(story(), other).find("no checkpoint is there") != std::string::npos);
}
