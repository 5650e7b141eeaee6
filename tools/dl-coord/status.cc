// SPDX-License-Identifier: MIT
#include "status.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

#include "display.h"
#include "run_directory.h"

namespace dl::tool {

namespace {

constexpr std::uint64_t kMostBytes = 16 << 20;

// The step in the name that `latest` points to.
std::optional<std::uint64_t> newest_checkpoint(const fs::path& run, std::string& name) {
  std::error_code error;
  const fs::path target = fs::read_symlink(run / "latest", error);
  if (error) return std::nullopt;
  name = target.filename().string();
  const std::string text = target.stem().string();
  const std::size_t dash = text.rfind('-');
  std::uint64_t step = 0;
  if (dash == std::string::npos) return std::nullopt;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data() + dash + 1, end, step).ptr != end) return std::nullopt;
  return step;
}

Json status_of(const fs::path& run) {
  const fs::path file = run / "run.json";
  const std::optional<Runner> runner = runner_of(run);
  if (!fs::exists(file)) {
    if (!fs::is_directory(run)) fail(Exit::no_input, "{}: no such run", run.string());
    if (!runner) fail(Exit::no_input, "{}: no run in this directory (it has no run.json)", run.string());
    return {{"run", run.string()}, {"state", "starting"}, {"pid", runner->pid}, {"host", runner->host}};
  }
  const Json record = parse_json(read_file(file, kMostBytes), file.string());
  const JsonObject about(record, file.string());
  const train::RunConfig config =
      train::RunConfig::from_json(about.get("config"), file.string() + ": config");
  const std::optional<Json> done = done_in(run, about);
  Json out{{"run", run.string()},
           {"state", runner ? "running" : done ? "complete" : "stopped"}};
  if (runner) {
    out["pid"] = runner->pid;
    out["host"] = runner->host;
  }
  out["model"] = config.model;
  out["data"] = config.data;
  if (config.epochs > 0) out["epochs"] = config.epochs;
  if (config.steps > 0) out["steps"] = config.steps;
  out["total_steps"] = about.count("total_steps");
  std::string name;
  if (const auto step = newest_checkpoint(run, name)) {
    out["checkpoint"] = (run / name).string();
    out["checkpoint_step"] = *step;
  }
  std::error_code none;
  if (runner && fs::exists(run / "address", none)) {
    std::string address = read_file(run / "address", 512);
    while (!address.empty() && address.back() == '\n') address.pop_back();
    out["address"] = address;
  }
  if (runner && fs::exists(run / "status.json", none)) {
    out.update(parse_json(read_file(run / "status.json", kMostBytes), "status.json"));
  }
  if (!runner && done) out["done"] = *done;
  return out;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "-" : dump_line(value);
}

void print_table(const Json& status) {
  std::string out;
  for (const auto& [key, value] : status.items()) {
    if (key == "nodes" || key == "done") continue;
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    out += fmt::format("{:<17}{}\n", name, text_of(value));
  }
  if (status.contains("nodes") && !status["nodes"].empty()) {
    out += fmt::format("\n{:>4}  {:<20} {:>8} {:>7}  {:<8} {:<9} {:>9} {:>7} {:>7} {:>7} {:>11}\n", "rank", "host",
                       "pid", "threads", "kernel", "doing", "step", "busy s", "wait s", "comm s", "samples/s");
    for (const Json& node : status["nodes"]) {
      out += fmt::format("{:>4}  {:<20} {:>8} {:>7}  {:<8} {:<9} {:>9} {:>7.1f} {:>7.1f} {:>7.1f} {:>11}\n",
                         text_of(node.at("rank")), text_of(node.at("host")), text_of(node.at("pid")),
                         text_of(node.at("threads")), text_of(node.at("kernel")),
                         text_of(node.at("doing")), text_of(node.at("step")),
                         node.at("busy_seconds").get<double>(), node.at("wait_seconds").get<double>(),
                         node.at("communicate_seconds").get<double>(),
                         node.at("samples_per_second").is_null()
                             ? "-" : fmt::format("{:.0f}", node.at("samples_per_second").get<double>()));
    }
  }
  if (status.contains("done")) out += "\n" + summary(status["done"]);
  std::fwrite(out.data(), 1, out.size(), stdout);
}

}  // namespace

Exit show_status(const fs::path& run, bool json) {
  const Json status = status_of(run);
  if (json) {
    const std::string line = dump_line(status) + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
  } else {
    print_table(status);
  }
  return Exit::ok;
}

Exit stop_run(const fs::path& run, const Log& log) {
  const fs::path file = run / "lock";
  std::error_code none;
  if (!fs::exists(file, none)) fail(Exit::no_input, "{}: no run in this directory", run.string());
  const std::optional<Runner> runner = runner_of(run);
  if (!runner) {
    log.info("{}: nobody runs this run", run.string());
    return Exit::ok;
  }
  if (runner->pid == 0) fail(Exit::again, "{}: a dl-coord begins to run this run just now; try again", run.string());
  if (!runner->here()) {
    fail(Exit::unavailable, "{}: it runs on {} (pid {}), not on this machine; call dl-coord --stop there", run.string(),
         shown(runner->host), runner->pid);
  }
  if (::kill(runner->pid, SIGTERM) != 0 && errno != ESRCH) {
    fail_errno(Exit::denied, errno, fmt::format("{}: cannot stop the dl-coord with pid {}", run.string(), runner->pid));
  }
  // The lock is free when it has ended.
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(Exit::io, errno, file.string());
  int result = 0;
  do {
    result = ::flock(fd, LOCK_SH);
  } while (result != 0 && errno == EINTR);
  const int error_number = errno;
  ::close(fd);
  if (result != 0) fail_errno(Exit::io, error_number, file.string() + ": flock");
  std::string name;
  const auto step = newest_checkpoint(run, name);
  log.info("{}: stopped{}", run.string(), step ? fmt::format(" at step {}", *step) : "");
  return Exit::ok;
}

}  // namespace dl::tool
