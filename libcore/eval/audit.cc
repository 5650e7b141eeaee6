// SPDX-License-Identifier: MIT
#include "eval/audit.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "data/sampler.h"

namespace dl::eval {

namespace {

class Auditor {
 public:
  Auditor(const RunFacts& facts, const std::string& what) : facts_(facts), what_(what) {}

  Audit run(const std::vector<checkpoint::LedgerLine>& lines) {
    check_recorded(lines);
    for (const checkpoint::LedgerLine& line : lines) {
      ++out_.lines;
      const std::string where = fmt::format("{}: line {}", what_, out_.lines);
      try {
        take(JsonObject(line.entry, where), where);
      } catch (const Error& error) {
        fail(Exit::no, "{}", error.what());  // a line without what belongs into it is no answer either
      }
    }
    check_newest();
    use_samples();
    return std::move(out_);
  }

 private:
  using Members = std::set<std::pair<std::string, std::uint64_t>>;  // host, pid

  void check_recorded(const std::vector<checkpoint::LedgerLine>& lines) const {
    const checkpoint::LedgerHead& recorded = facts_.recorded;
    if (recorded.lines > lines.size()) {
      fail(Exit::no, "{}: {} lines, where run.json counted {}", what_, lines.size(), recorded.lines);
    }
    if (recorded.lines > 0 && lines[recorded.lines - 1].sha256 != recorded.sha256) {
      fail(Exit::no, "{}: line {} is not the one that run.json knows", what_, recorded.lines);
    }
  }

  void take(const JsonObject& line, const std::string& where) {
    const std::string event = line.text("event");
    const bool placed = (out_.lines == 1) == (event == "ledger") && (!ended_ || event == "start");
    if (!placed) fail(Exit::no, "{}: {} is out of place", where, shown(event));
    ended_ = event == "end";
    if (event == "ledger") begin(line, where);
    if (event == "start") start(line, where);
    if (event == "joined") here_.insert({line.text("host"), line.count("pid")});
    if (event == "lost") lose(line);
    if (event == "group") group(line, where);
    if (event == "checkpoint") saved_[line.count("step")] = line.text("params_sha256");
    out_.done = event == "done" || (out_.done && event == "end");
    if (event == "done") done_ = {relied_ = line.count("step"), line.text("params_sha256")};
  }

  void same(const std::string& where, const char* name, const std::string& there, const std::string& here) const {
    if (there != here) fail(Exit::no, "{}: {} is {}, the run's is {}", where, name, shown(there), shown(here));
  }

  void begin(const JsonObject& line, const std::string& where) {
    same(where, "format", line.text("format"), "dl 1");
    same(where, "run_id", line.text("run_id"), facts_.run_id);
    same(where, "manifest_sha256", line.text("manifest_sha256"), facts_.manifest_sha256);
    same(where, "batch", std::to_string(line.count("batch")), std::to_string(facts_.batch));
    same(where, "shards", std::to_string(line.count("shards")), std::to_string(facts_.shard_samples.size()));
  }

  // From a checkpoint, or from nothing.
  void start(const JsonObject& line, const std::string& where) {
    ++out_.starts;
    here_.clear();
    const std::uint64_t step = line.count("step");
    if (step == 0) return;
    const auto found = saved_.find(step);
    if (found == saved_.end()) fail(Exit::no, "{}: it goes on from step {}, which was never saved", where, step);
    same(where, "params_sha256", line.text("params_sha256"), found->second);
    relied_ = step;
  }

  void lose(const JsonObject& line) {
    ++out_.losses;
    here_.erase({line.text("host"), line.count("pid")});
  }

  // Up to here the group before it went; what it did beyond that is done again.
  void group(const JsonObject& line, const std::string& where) {
    const std::uint64_t step = line.count("step");
    const auto generation = static_cast<std::uint32_t>(line.count("generation", UINT32_MAX));
    if (generation <= generation_) {
      fail(Exit::no, "{}: generation {} after generation {}", where, generation, generation_);
    }
    generation_ = generation;
    while (!out_.lineage.empty() && out_.lineage.back().begin >= step) {
      ++out_.redone;
      out_.lineage.pop_back();
    }
    if (!out_.lineage.empty()) out_.lineage.back().end = step;
    if (out_.lineage.empty() && step > 0) fail(Exit::no, "{}: nobody trained the steps before {}", where, step);
    const Json& members = line.array("members");
    check_owners(members, where);
    ++out_.groups;
    out_.lineage.push_back({step, UINT64_MAX, generation, static_cast<std::uint32_t>(members.size())});
  }

  void check_owners(const Json& members, const std::string& where) const {
    std::vector<std::uint32_t> owners(facts_.shard_samples.size(), 0);
    for (const Json& json : members) {
      const JsonObject member(json, where + ": members");
      const std::string host = member.text("host");
      const std::uint64_t pid = member.count("pid");
      if (!here_.contains({host, pid})) {
        fail(Exit::no, "{}: the node at {} (pid {}) had not joined, or was lost", where, shown(host), pid);
      }
      for (const Json& range : member.array("shards")) {
        const std::string what = where + ": shards";
        if (!range.is_array() || range.size() != 2) fail(Exit::no, "{}: pairs of first and last are wanted", what);
        const Json named{{"first", range[0]}, {"last", range[1]}};
        const JsonObject pair(named, what);
        const std::uint64_t last = pair.count("last", owners.size() - 1);
        for (std::uint64_t s = pair.count("first", last); s <= last; ++s) ++owners[s];
      }
    }
    for (std::size_t s = 0; s < owners.size(); ++s) {
      if (owners[s] != 1) fail(Exit::no, "{}: shard {} has {} owners", where, s, owners[s]);
    }
  }

  void check_newest() {
    if (out_.lines == 0) fail(Exit::no, "{}: it is empty", what_);
    if (!facts_.newest) {
      if (relied_ > 0) fail(Exit::no, "{}: step {} was saved, and no checkpoint is there", what_, relied_);
      out_.lineage.clear();
      return;
    }
    const RunFacts::Newest& newest = *facts_.newest;
    const auto found = saved_.find(newest.step);
    if (found == saved_.end()) fail(Exit::no, "{}: no line tells of the checkpoint of step {}", what_, newest.step);
    same(fmt::format("{}: the checkpoint of step {}", what_, newest.step), "params_sha256", found->second,
         newest.params_sha256);
    if (out_.done && done_ != std::pair(newest.step, newest.params_sha256)) {
      fail(Exit::no, "{}: the run was done at step {} with parameters {}, the newest checkpoint is of step {} with {}",
           what_, done_.first, shown(done_.second), newest.step, newest.params_sha256);
    }
    while (!out_.lineage.empty() && out_.lineage.back().begin >= newest.step) out_.lineage.pop_back();
    if (out_.lineage.empty() && newest.step > 0) fail(Exit::no, "{}: nobody trained the steps before {}", what_, newest.step);
    if (!out_.lineage.empty()) out_.lineage.back().end = newest.step;
  }

  // Each stretch takes up every shard where the one before it left it.
  void use_samples() {
    std::uint64_t of_epoch = 0;
    for (const std::uint64_t samples : facts_.shard_samples) of_epoch += samples;
    const std::uint64_t steps = data::steps_per_epoch(of_epoch, facts_.batch);
    std::vector<std::uint32_t> next(facts_.shard_samples.size(), 0);
    std::uint64_t at = 0;
    for (const Stretch& stretch : out_.lineage) {
      if (stretch.begin != at) fail(Exit::no, "{}: the steps from {} to {} are missing", what_, at, stretch.begin);
      while (at < stretch.end) {
        const std::uint64_t first = at % steps;
        const std::uint64_t last = std::min(steps, first + (stretch.end - at));
        use(next, first, last, steps);
        at += last - first;
        if (last == steps) ++out_.whole_epochs;
      }
    }
    out_.steps_of_next = at % steps;
    if (facts_.newest && out_.samples != facts_.newest->samples) {
      fail(Exit::no, "{}: its steps used {} samples, the checkpoint counted {}", what_, out_.samples, facts_.newest->samples);
    }
  }

  // Steps first .. last-1 of an epoch.
  void use(std::vector<std::uint32_t>& next, std::uint64_t first, std::uint64_t last, std::uint64_t steps) {
    for (std::size_t s = 0; s < next.size(); ++s) {
      const auto rows = static_cast<std::uint32_t>(facts_.shard_samples[s]);
      const std::uint32_t begin = data::positions_of_step(rows, first, steps).begin;
      if (begin != next[s]) fail(Exit::no, "{}: shard {} goes on at sample {} instead of {}", what_, s, begin, next[s]);
      next[s] = data::positions_of_step(rows, last - 1, steps).end;
      out_.samples += next[s] - begin;
      if (last < steps) continue;
      if (next[s] != rows) fail(Exit::no, "{}: an epoch used {} of {} samples of shard {}", what_, next[s], rows, s);
      next[s] = 0;
    }
  }

  const RunFacts& facts_;
  const std::string& what_;
  Audit out_;
  Members here_;
  std::map<std::uint64_t, std::string> saved_;  // parameters by step
  std::pair<std::uint64_t, std::string> done_;
  bool ended_ = false;
  std::uint64_t relied_ = 0;  // a step whose checkpoint was there
  std::uint32_t generation_ = 0;
};

}  // namespace

Audit audit(const std::vector<checkpoint::LedgerLine>& lines, const RunFacts& facts, const std::string& what) {
  return Auditor(facts, what).run(lines);
}

}  // namespace dl::eval
