// SPDX-License-Identifier: MIT
#include "display.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/clock.h"

namespace dl::tool {

namespace {

constexpr std::int64_t kDrawEveryNs = 100'000'000;
constexpr std::int64_t kLineEveryNs = 10'000'000'000;
constexpr double kRateWindow = 1.0;  // seconds of training between two rates

std::string duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string text_of(const Json& event, const char* key) {
  const Json& value = event.at(key);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:.4g}", value.get<double>());
  return dump_line(value);
}

std::string node_of(const Json& event) {
  return fmt::format("{}, pid {}", shown(text_of(event, "host")), text_of(event, "pid"));
}

std::string judgement(const Json& event) {
  std::string out;
  for (const auto& [key, value] : event.items()) {
    if (!value.is_number_float() || key == "seconds" || key == "lr") continue;
    out += fmt::format(", {} {:.4f}", key, value.get<double>());
  }
  return out;
}

std::string predicted(const Json& group) {
  return fmt::format("{:.3g} ms a step", group.at("predicted_step_seconds").get<double>() * 1e3);
}

// "layers 0-1 on rank 0 | 2 on rank 1; predicted 0.31 ms a step": the head is the last layer.
std::string stages_of(const Json& group) {
  const Json& stages = group.at("stages");
  const std::size_t columns = group.at("nodes").get<std::size_t>() / stages.size();
  std::string out = "layers ";
  std::size_t layer = 0;
  for (std::size_t k = 0; k < stages.size(); ++k) {
    const std::size_t end = layer + stages[k].get<std::size_t>(), rank = k * columns;
    out += fmt::format("{}{}{} on rank{}{}{}", k == 0 ? "" : " | ", layer,
                       end > layer + 1 ? fmt::format("-{}", end - 1) : "", columns > 1 ? "s " : " ", rank,
                       columns > 1 ? fmt::format("-{}", rank + columns - 1) : "");
    layer = end;
  }
  return out + "; predicted " + predicted(group);
}

// "0-3 | 4-7": what each rank has.
std::string shares_of(const Json& owner, std::uint32_t ranks) {
  std::string shares;
  for (std::uint32_t rank = 0; rank < std::min(ranks, 16U); ++rank) {
    shares += fmt::format("{}{}", rank == 0 ? "" : " | ", ranges_of(owner, rank));
  }
  return ranks > 16 ? shares + " | ..." : shares;
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string ranges_of(const Json& owner, std::uint32_t rank) {
  std::string out;
  for (std::size_t s = 0; s < owner.size(); ++s) {
    if (owner[s] != rank) continue;
    std::size_t end = s;
    while (end + 1 < owner.size() && owner[end + 1] == rank) ++end;
    out += out.empty() ? "" : ", ";
    out += end > s ? fmt::format("{}-{}", s, end) : fmt::format("{}", s);
    s = end;
  }
  return out.empty() ? "none" : out;
}

Display::Display(cli::Streams& streams, bool json, Run run)
    : streams_(streams), log_(streams.log()), json_(json), run_(run),
      terminal_(::isatty(STDERR_FILENO) == 1 && log_.shows(Level::info)) {}

Display::~Display() { erase(); }

void Display::erase() {
  if (!std::exchange(drawn_, false)) return;
  streams_.err().put("\r\033[K");
}

void Display::event(const Json& event) {
  tell(event);
  if (json_) {
    streams_.out().put(dump_line(event) + "\n");
  } else if (event.at("event") == "done") {
    streams_.out().put(summary(event) + times_of(nodes_));
  }
}

void Display::tell(const Json& event) {
  const std::string name = text_of(event, "event");
  if (name == "nodes") nodes_ = event.at("nodes");
  constexpr std::array kAlarms = {"lost", "broken", "refused", "step_refused", "checkpoint_left_out"};
  if (!log_.shows(Level::info) && std::ranges::find(kAlarms, name) == kAlarms.end()) return;
  erase();
  if (name == "joined") {
    log_.info("rank {} joined: {}, {} thread{}, {}", text_of(event, "rank"), node_of(event),
              text_of(event, "threads"), event.at("threads") == 1 ? "" : "s",
              text_of(event, "kernel"));
  } else if (name == "group") {
    const auto nodes = event.at("nodes").get<std::uint32_t>();
    const bool blocks = event.contains("blocks");
    log_.info("generation {} goes on from step {} with {} node{}, {} {}", text_of(event, "generation"),
              text_of(event, "step"), nodes, nodes == 1 ? "" : "s", blocks ? "blocks" : "shards",
              shares_of(event.at(blocks ? "blocks" : "owner"), nodes));
    check_collective(event.at(blocks ? "blocks" : "owner"), nodes);
    if (event.contains("stages")) log_.info("{}", stages_of(event));
    if (blocks) log_.info("all shards on every node; predicted {}", predicted(event));
  } else if (name == "moving") {
    const Json& speeds = event.at("samples_per_second");
    double fastest = 0;
    for (const Json& speed : speeds) fastest = std::max(fastest, speed.get<double>());
    std::string shares;
    for (std::size_t rank = 0; rank < std::min<std::size_t>(speeds.size(), 16); ++rank) {
      shares += fmt::format("{}{:.2f}", rank == 0 ? "" : " | ", speeds[rank].get<double>() / fastest);
    }
    const double now = event.at("step_seconds").get<double>();
    log_.info("speeds are {}{}: moving {} shard{}, a step of {:.2f} ms will take {:.2f} ms", shares,
              speeds.size() > 16 ? " | ..." : "", text_of(event, "shards"), event.at("shards") == 1 ? "" : "s",
              now * 1e3, (now - event.at("gain_seconds").get<double>()) * 1e3);
  } else if (name == "lost") {
    std::string had;  // what the others have to take over, and from where
    for (const Json& range : event.at("shards")) {
      had += fmt::format("{}{}", had.empty() ? " with shards " : ", ", range[0].get<std::uint64_t>());
      if (range[1] != range[0]) had += fmt::format("-{}", range[1].get<std::uint64_t>());
    }
    if (!event.at("rank").is_null()) had += fmt::format(" at step {}", text_of(event, "step"));
    streams_.alarm(fmt::format("lost {} ({}){}: {}", event.at("rank").is_null() ? "a node" : "rank " + text_of(event, "rank"),
                      node_of(event), had, text_of(event, "reason")));
  } else if (name == "broken") {
    streams_.alarm(fmt::format("generation {} broke: rank {} ({}): {}", text_of(event, "generation"), text_of(event, "rank"),
                      node_of(event), text_of(event, "reason")));
  } else if (name == "step_refused") {
    if (!std::has_single_bit(++refusals_)) return;
    streams_.alarm(fmt::format("{}: {} step{} left out ({} such so far)", text_of(event, "reason"), text_of(event, "left_out"),
                      event.at("left_out") == 1 ? " is" : "s are", refusals_));
  } else if (name == "checkpoint_left_out") {
    streams_.alarm(fmt::format("no checkpoint of step {}: {}", text_of(event, "step"), text_of(event, "reason")));
  } else if (name == "refused") {
    streams_.alarm(fmt::format("refused a node ({}): {}", node_of(event), text_of(event, "reason")));
  } else if (name == "epoch") {
    log_.info("epoch {}{}{}", text_of(event, "epoch"),
              run_.epochs > 0 ? fmt::format(" of {}", run_.epochs) : "", judgement(event));
  } else if (name == "checkpoint" || name == "best") {
    log_.debug("{}: {}", name, text_of(event, "checkpoint"));
  } else if (name == "done") {
    log_.info("done: {} steps", text_of(event, "steps"));
  }
}

// Nodes find out by themselves; here it is said, once.
void Display::check_collective(const Json& owner, std::uint32_t ranks) {
  if (!run_.collective || ranks < 2 || goes_direct_) return;
  std::vector<std::vector<std::uint32_t>> held(ranks);
  for (std::uint32_t s = 0; s < owner.size(); ++s) held.at(owner[s].get<std::uint32_t>()).push_back(s);
  const auto shards = static_cast<std::uint32_t>(owner.size());
  std::vector<std::vector<ShardRange>> parts;
  for (const auto& own : held) parts.push_back(maximal_subtrees(shards, own));
  if (possible(*run_.collective, shards, parts)) return;
  goes_direct_ = true;
  log_.warning("--collective {0}: sums over TCP go direct, since {1} nodes that hold {2} cannot go by {0}",
               name_of(*run_.collective), ranks, shares_of(owner, ranks));
}

std::string Display::line_of(const coord::Progress& progress, double rate) const {
  const double left = static_cast<double>(run_.total_steps - std::min(run_.total_steps, progress.step));
  const double samples_per_step =
      progress.step > 0 ? static_cast<double>(progress.samples) / static_cast<double>(progress.step) : 0;
  std::string line = fmt::format("step {} of {}", grouped(progress.step), grouped(run_.total_steps));
  const std::uint64_t epoch = progress.step > 0 ? (progress.step - 1) / run_.steps_per_epoch + 1 : 1;
  line += run_.epochs > 0 ? fmt::format(", epoch {} of {}", epoch, run_.epochs)
                          : fmt::format(", epoch {}", epoch);
  line += fmt::format(", loss {:.4f}", progress.loss);
  if (rate <= 0) return line;
  return line + fmt::format(", {} samples/s, ETA {}", grouped(static_cast<std::uint64_t>(rate)),
                            duration(left * samples_per_step / rate));
}

void Display::live(const coord::Progress& progress) {
  // Another rank 0, or another process, counts its time from 0.
  const bool fresh = base_.samples == 0 || progress.train_seconds < base_.train_seconds;
  if (fresh) {
    base_ = progress;
  } else if (progress.train_seconds - base_.train_seconds > kRateWindow ||
             (rate_ == 0 && progress.samples > base_.samples)) {
    const double seconds = progress.train_seconds - base_.train_seconds;
    const double samples = static_cast<double>(progress.samples) - static_cast<double>(base_.samples);
    if (seconds > 0) rate_ = samples / seconds;
    if (seconds > kRateWindow) base_ = progress;
  }
  if (!log_.shows(Level::info)) return;
  const std::int64_t now = monotonic_ns();
  if (shown_ns_ == 0 && !terminal_) shown_ns_ = now;  // the first line is due after the interval
  if (now - shown_ns_ < (terminal_ ? kDrawEveryNs : kLineEveryNs)) return;
  shown_ns_ = now;
  const std::string line = line_of(progress, rate_);
  if (!terminal_) {
    log_.info("{}", line);
    return;
  }
  if (!streams_.err().idle()) return;  // a terminal that was stopped wants no old lines
  // The cursor stays at the line's begin, so that whoever else speaks overwrites it.
  streams_.err().put("\r" + line + "\033[K\r");
  drawn_ = true;
}

std::string times_of(const Json& nodes) {
  std::string out;
  for (const Json& node : nodes) {
    const std::string what = node.contains("blocks") ? "block" : "shard", count = text_of(node, (what + "s").c_str());
    out += fmt::format("{:<15}computing {:.3f} s, waiting {:.3f} s, communicating {:.3f} s, {} {}{} ({})\n",
                       "rank " + text_of(node, "rank"), node.at("busy_seconds").get<double>(),
                       node.at("wait_seconds").get<double>(), node.at("communicate_seconds").get<double>(), count,
                       what, count == "1" ? "" : "s", node_of(node));
  }
  return out;
}

std::string summary(const Json& done) {
  std::string out;
  const auto row = [&](const char* name, const std::string& value) {
    out += fmt::format("{:<15}{}\n", name, value);
  };
  const JsonObject object(done, "done");
  row("epochs", text_of(done, "epochs"));
  row("steps", grouped(object.count("steps")));
  row("samples", grouped(object.count("samples")));
  row("seconds", fmt::format("{:.3f}", object.number("seconds")));
  row("samples/s", grouped(static_cast<std::uint64_t>(std::max(0.0, object.number("samples_per_second")))));
  row("train loss", fmt::format("{:.6f}", object.number("train_loss")));
  if (object.has("test_accuracy")) row("test accuracy", fmt::format("{:.4f}", object.number("test_accuracy")));
  if (object.has("steps_refused")) row("steps refused", grouped(object.count("steps_refused")));
  if (object.has("test_rmse")) row("test RMSE", fmt::format("{:.6g}", object.number("test_rmse")));
  row("params sha256", object.text("params_sha256"));
  row("checkpoint", object.text("checkpoint"));
  return out;
}

}  // namespace dl::tool
