// SPDX-License-Identifier: MIT
#include "transcript.h"

#include <deque>
#include <map>
#include <sstream>
#include <stdexcept>

namespace dl::test {

using namespace coord;

namespace {

constexpr const char* kSummary =
    R"({"epochs":1,"steps":9,"samples":90,"seconds":0.5,"samples_per_second":180.0,)"
    R"("train_loss":0.25,"test_accuracy":0.75,"more":"things"})";

const char* name_of(StateReason reason) {
  switch (reason) {
    case StateReason::asked: return "asked";
    case StateReason::checkpoint: return "checkpoint";
    case StateReason::best: return "best";
    case StateReason::final_state: return "final";
  }
  return "?";
}

StateReason reason_of(const std::string& name) {
  for (const StateReason reason : {StateReason::asked, StateReason::checkpoint, StateReason::best,
                                   StateReason::final_state}) {
    if (name == name_of(reason)) return reason;
  }
  throw std::runtime_error("no such reason: " + name);
}

// The words of a line, taken one after the other.
class Words {
 public:
  explicit Words(const std::string& line) : in_(line) {}
  std::string next() {
    std::string word;
    in_ >> word;
    return word;
  }
  template <typename T>
  T number() {
    return static_cast<T>(std::stoll(next()));
  }
  void expect(const std::string& word) {
    if (next() != word) throw std::runtime_error("expected " + word);
  }
  std::string rest() {
    std::string text;
    std::getline(in_ >> std::ws, text);
    return text;
  }
  std::map<std::string, std::string> pairs() {  // a=b c=d
    std::map<std::string, std::string> out;
    for (std::string word = next(); !word.empty(); word = next()) {
      const std::size_t equals = word.find('=');
      out[word.substr(0, equals)] = word.substr(equals + 1);
    }
    return out;
  }

 private:
  std::istringstream in_;
};

std::string value(const std::map<std::string, std::string>& pairs, const char* key,
                  const std::string& standard) {
  const auto found = pairs.find(key);
  return found == pairs.end() ? standard : found->second;
}

Event arrive(NodeId node, const std::map<std::string, std::string>& given) {
  Hello hello{.protocol = static_cast<std::uint32_t>(std::stoul(value(given, "protocol", std::to_string(kProtocol)))),
              .version = value(given, "version", "dl 1"),
              .host = "h" + std::to_string(node),
              .pid = node * 11,
              .threads = static_cast<std::uint32_t>(std::stoul(value(given, "threads", "1"))),
              .kernel = "scalar",
              .mesh_port = static_cast<std::uint16_t>(7000 + node)};
  return event::Arrived{node, value(given, "address", "10.0.0." + std::to_string(node)),
                        value(given, "via", "10.0.0.99"), hello};
}

Event event_of(const std::string& line) {
  Words words(line);
  const std::string verb = words.next();
  if (verb == "checkpoint") return event::CheckpointAsked{};
  if (verb == "stop") return event::StopAsked{words.number<int>(), "asked to stop"};
  if (verb == "write-failed") {
    const StateReason reason = reason_of(words.next());
    words.expect("step");
    const auto step = words.number<std::uint64_t>();
    words.expect("code");
    const auto code = words.number<int>();
    return event::WriteFailed{step, reason, words.rest(), static_cast<Exit>(code)};
  }
  if (verb == "data-failed") {
    const auto code = words.number<int>();
    return event::DataFailed{static_cast<Exit>(code), words.rest()};
  }
  if (verb == "child") {
    const auto code = words.number<int>();
    return event::ChildEnded{static_cast<Exit>(code), words.rest()};
  }
  if (verb == "written") {
    const StateReason reason = reason_of(words.next());
    words.expect("step");
    const auto step = words.number<std::uint64_t>();
    return event::Written{step, reason, "step-" + std::to_string(step)};
  }
  const auto node = words.number<NodeId>();
  if (verb == "arrive") return arrive(node, words.pairs());
  if (verb == "lost") return event::Lost{node, words.rest()};
  if (verb == "coming") return event::AtWork{node};
  if (verb == "loaded") {
    words.expect("gen");
    return event::Said{node, Loaded{words.number<std::uint32_t>()}};
  }
  if (verb == "beat") {
    const std::string progress = words.next();
    return event::Said{node, Heartbeat{progress.empty() ? 0 : std::stoull(progress)}};
  }
  if (verb == "report") return event::Said{node, Report{words.rest()}};
  if (verb == "ready") {
    const auto given = words.pairs();
    return event::Said{node, Ready{value(given, "manifest", "m"),
                                   std::stoul(value(given, "parameters", "10")),
                                   value(given, "arithmetic", "defined"),
                                   std::stod(value(given, "speed", "0"))}};
  }
  if (verb == "refuse" || verb == "goodbye") {
    const auto code = words.number<std::uint32_t>();
    if (verb == "refuse") return event::Said{node, Refuse{code, words.rest()}};
    return event::Said{node, Goodbye{code, words.rest()}};
  }
  if (verb == "paused") {
    words.expect("gen");
    const auto generation = words.number<std::uint32_t>();
    words.expect("step");
    Paused paused{generation, words.number<std::int64_t>()};
    const std::string why = words.next();
    if (why == "broken") paused.reason = words.rest();
    if (why == "unmet") paused.reason = "did not meet";
    while (why == "unmet") {
      const std::string rank = words.next();
      if (rank.empty()) break;
      paused.unmet.push_back(static_cast<std::uint32_t>(std::stoul(rank)));
    }
    return event::Said{node, paused};
  }
  if (verb == "state") {
    const StateReason reason = reason_of(words.next());
    words.expect("step");
    return event::StateCame{node, words.number<std::uint64_t>(), reason};
  }
  if (verb == "pace") {  // pace NODE gen G step S took SECONDS ranks BUSY...
    words.expect("gen");
    Pace pace;
    pace.generation = words.number<std::uint32_t>();
    words.expect("step");
    pace.step = words.number<std::uint64_t>();
    words.expect("took");
    pace.step_seconds = std::stod(words.next());
    words.expect("ranks");
    for (std::string busy = words.next(); !busy.empty(); busy = words.next()) pace.ranks.push_back({std::stod(busy), 0});
    return event::Said{node, pace};
  }
  if (verb == "updates") {
    words.expect("gen");
    Updates updates;
    updates.generation = words.number<std::uint32_t>();
    words.expect("from");
    updates.first = words.number<std::uint64_t>();
    words.expect("to");
    updates.last = words.number<std::uint64_t>();
    return event::Said{node, updates};
  }
  if (verb == "progress") {
    words.expect("step");
    Progress progress;
    progress.step = words.number<std::uint64_t>();
    if (words.next() == "seconds") progress.train_seconds = words.number<double>();
    return event::Said{node, progress};
  }
  if (verb == "done") {
    words.expect("step");
    const auto step = words.number<std::uint64_t>();
    words.expect("sha");
    const std::string sha = words.next();
    return event::Said{node, Done{step, sha, words.next() == "summary" ? kSummary : ""}};
  }
  throw std::runtime_error("no such event: " + line);
}

std::string text_of(NodeId node, const Welcome& m) { return fmt::format("welcome {} to {}", node, m.run_id.str()); }
std::string text_of(NodeId node, const Refuse& m) { return fmt::format("refuse {} {} {}", node, m.code, m.text.str()); }
std::string text_of(NodeId node, const Pause& m) { return fmt::format("pause {} gen {}", node, m.generation); }
std::string text_of(NodeId node, const SendState&) { return fmt::format("send-state {}", node); }
std::string text_of(NodeId node, const Goodbye& m) {
  return fmt::format("goodbye {} {}{}{}", node, m.code, m.text.empty() ? "" : " ", m.text.str());
}
std::string text_of(NodeId node, const Signal& m) {
  return fmt::format("signal {}{}{}", node, (m.bits & Signal::kPause) != 0 ? " pause" : "",
                     (m.bits & Signal::kCheckpoint) != 0 ? " checkpoint" : "");
}
std::string text_of(NodeId node, const Load& m) {
  std::string text = fmt::format("load {} gen {} shards", node, m.generation);
  for (const std::uint32_t shard : m.shards) text += fmt::format(" {}", shard);
  return text;
}
std::string text_of(NodeId node, const Start& m) {
  std::string text = fmt::format("start {} gen {} rank {} step {} members", node, m.generation,
                                 m.rank, m.step);
  for (const Member& member : m.members) {
    text += fmt::format(" {}:{}", member.host.str(), member.port);
  }
  text += " owner ";
  for (const std::uint32_t rank : m.owner) text += std::to_string(rank);
  if (!m.blocks.empty()) text += " blocks ";
  for (const std::uint32_t rank : m.blocks) text += std::to_string(rank);
  return text;
}

}  // namespace

Plan plan() {
  Plan p;
  p.run_id = "run";
  p.config = "{}";
  p.version = "dl 1";
  p.manifest_sha256 = "m";
  p.parameters = 10;
  p.arithmetic = "defined";
  p.shard_samples = {5, 5, 5, 5};
  p.nodes = 2;
  return p;
}

std::string line_of(const Action& action) {
  if (const auto* send = std::get_if<action::Send>(&action)) {
    return std::visit([&](const auto& m) { return text_of(send->node, m); }, send->message);
  }
  if (const auto* close = std::get_if<action::Close>(&action)) return fmt::format("close {}", close->node);
  if (std::holds_alternative<action::Keep>(action)) return "keep";
  if (const auto* serve = std::get_if<action::Serve>(&action)) return fmt::format("serve {}", serve->node);
  if (const auto* write = std::get_if<action::Write>(&action)) {
    return fmt::format("write {} step {}", name_of(write->reason), write->step);
  }
  if (const auto* append = std::get_if<action::Append>(&action)) {
    return fmt::format("append {} to {}", append->updates.first, append->updates.last);
  }
  if (const auto* live = std::get_if<action::Live>(&action)) {
    return fmt::format("live step {}", live->progress.step);
  }
  if (const auto* finish = std::get_if<action::Finish>(&action)) {
    return fmt::format("finish {}{}{}", finish->code, finish->text.empty() ? "" : " ", finish->text);
  }
  if (const auto* record = std::get_if<action::Record>(&action)) return fmt::format("record gen {}", record->generation);
  return "announce " + dump_line(std::get<action::Announce>(action).json);
}

std::string play(const Plan& plan, const std::string& script) {
  std::int64_t now = 0;
  bool disk_full = false;
  Coordinator coordinator(plan, now);
  std::string out;
  std::istringstream lines(script);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("> ")) continue;
    out += line + "\n";
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with("disk ")) {
      disk_full = line == "disk full";
      continue;
    }
    Event event = event::Tick{};
    if (line.starts_with("at ")) {
      now = static_cast<std::int64_t>(std::stod(line.substr(3)) * 1e9);
    } else {
      event = event_of(line);
    }
    for (std::deque<Event> events{event}; !events.empty(); events.pop_front()) {
      for (const Action& action : coordinator.on(now, events.front())) {
        const auto* record = std::get_if<action::Record>(&action);
        if (record != nullptr && !disk_full) {
          events.push_back(event::Recorded{record->generation});
          continue;
        }
        if (record != nullptr) events.push_back(event::NotRecorded{record->generation, "no room"});
        out += "> " + line_of(action) + "\n";
      }
    }
  }
  return out;
}

}  // namespace dl::test
