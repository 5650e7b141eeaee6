// SPDX-License-Identifier: MIT
#include "run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <random>
#include <thread>

#include "base/clock.h"
#include "ledger.h"

namespace dl::tool {

namespace {

constexpr std::uint64_t kMostRunJson = 16 << 20;

std::string new_run_id() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", device());
  return id;
}

FileLock locked(const fs::path& path, double wait_seconds) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path)) {
    fail(Exit::cannot_create, "{}: cannot create this directory: {}", path.string(),
         error ? error.message() : "there is a file of that name");
  }
  const std::int64_t begin = monotonic_ns();
  for (;;) {
    if (auto lock = FileLock::try_lock(path / "lock")) return std::move(*lock);
    if (seconds_between(begin, monotonic_ns()) >= wait_seconds) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const std::optional<int> pid = running_pid(path);
  fail(Exit::again, "{}: another dl-coord{} runs this run; dl-coord --status shows how far it is",
       path.string(), pid ? fmt::format(" (pid {})", *pid) : "");
}

// Not renamed into place: the lock is on this very file.
void write_pid(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) fail_errno(Exit::io, errno, file.string());
  const std::string text = fmt::format("{}\n", ::getpid());
  const bool whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error_number = errno;
  ::close(fd);
  if (!whole) fail_errno(Exit::io, error_number, file.string());
}

}  // namespace

RunDirectory::RunDirectory(const Options& options)
    : path_(options.run), lock_(locked(options.run, options.wait_lock_seconds)), config_(options.config) {
  write_pid(path_ / "lock");
  std::error_code ignored;
  fs::remove(path_ / "address", ignored);
  const fs::path file = path_ / "run.json";
  begun_before_ = fs::exists(file);
  if (!begun_before_) {
    run_id_ = new_run_id();
    return;
  }
  const Json json = parse_json(read_file(file, kMostRunJson), file.string());
  const JsonObject before(json, file.string());
  manifest_before_ = before.object("config").text("manifest_sha256");
  compare(before);
  run_id_ = before.text("run_id");
  if (before.has("generation")) {
    generation_ = static_cast<std::uint32_t>(before.count("generation", UINT32_MAX / 2));
  }
  if (before.has("done")) {
    done_ = before.get("done");
    done_total_ = before.count("done_total");
  }
}

RunDirectory::~RunDirectory() {
  std::error_code ignored;
  fs::remove(path_ / "address", ignored);
  fs::remove(path_ / "status.json", ignored);
  if (metrics_fd_ >= 0) ::close(metrics_fd_);
}

void RunDirectory::compare(const JsonObject& before) const {
  const auto differs = [&](const std::string& name, const std::string& then, const std::string& now) {
    fail(Exit::disagree, "{}: {} was {} when the run began, and is {} now (a new run needs a new -o)",
         path_.string(), name, shown(then), shown(now));
  };
  const train::RunConfig then =
      train::RunConfig::from_json(before.get("config"), before.what() + ": config");
  // With --refit in both, it is what their data was made of that has to be the same.
  const bool refits = !then.refit_of.empty() && !config_.refit_of.empty();
  const std::string& old_data = refits ? then.refit_of : then.manifest_sha256;
  const std::string& new_data = refits ? config_.refit_of : config_.manifest_sha256;
  if (then.refit_of.empty() == config_.refit_of.empty() && old_data != new_data) {
    differs("the manifest of --data", old_data, new_data);
  }
  const auto old_options = named_options(then);
  const auto new_options = named_options(config_);
  for (std::size_t i = 0; i < new_options.size(); ++i) {
    const auto& [name, value] = new_options[i];
    if (name == "--epochs" || name == "--steps") continue;
    if (old_options[i].second != value) differs(name, old_options[i].second, value);
  }
}

void RunDirectory::use_data(const train::RunConfig& config) {
  config_ = config;
  if (begun_before_ && manifest_before_ != config.manifest_sha256) {
    fail(Exit::disagree, "{}: its manifest was {} when the run began, and is {} now", config.data,
         manifest_before_, config.manifest_sha256);
  }
}

std::optional<Json> RunDirectory::done() const {
  if (!done_.is_object()) return std::nullopt;
  const std::uint64_t steps = JsonObject(done_, "run.json: done").count("steps");
  const bool stopped_early = steps < done_total_;
  if (!stopped_early && config_.schedule.total > done_total_) return std::nullopt;
  std::error_code none;
  if (!fs::exists(JsonObject(done_, "run.json: done").text("checkpoint"), none)) return std::nullopt;
  return done_;
}

void RunDirectory::write_run() {
  ledger_->sync();
  const checkpoint::LedgerHead head = ledger_->head();
  Json json{{"format", "dl run 1"},
            {"run_id", run_id_},
            {"version", DL_VERSION},
            {"total_steps", config_.schedule.total},
            {"generation", generation_},
            {"ledger", {{"lines", head.lines}, {"sha256", head.sha256}}},
            {"config", config_.to_json()}};
  if (done_.is_object()) {
    json["done"] = done_;
    json["done_total"] = done_total_;
  }
  write_file(path_ / "run.json", json.dump(2) + "\n");
}

void RunDirectory::begin_generation(std::uint32_t generation) {
  generation_ = generation;
  write_run();
}

std::shared_ptr<const net::Credentials> RunDirectory::credentials(const Options& options) const {
  if (!options.by_key()) return options.certificate;
  std::error_code none;
  if (!fs::exists(fs::symlink_status(path_ / "key", none))) net::make_key(path_ / "key");
  return net::read_key(path_ / "key");
}

Exit rekey(const fs::path& run, const Log& log) {
  std::error_code none;
  if (!fs::exists(run / "lock", none)) fail(Exit::no_input, "{}: no run in this directory", run.string());
  const FileLock lock = locked(run, 0);
  net::make_key(run / "key");
  log.info("{}: has a new key; nodes need a copy of it", (run / "key").string());
  return Exit::ok;
}

void RunDirectory::begin(const std::string& address) {
  done_ = Json();  // it goes on
  // Who was killed between the two has told the ledger of a group that run.json does not know.
  if (begun_before_) generation_ = std::max(generation_, newest_generation(path_ / "ledger"));
  ledger_.emplace(path_ / "ledger");
  write_run();
  write_file(path_ / "address", address + "\n");
  const fs::path metrics = path_ / "metrics.jsonl";
  metrics_fd_ = ::open(metrics.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (metrics_fd_ < 0) fail_errno(Exit::cannot_create, errno, metrics.string());
}

void RunDirectory::append_metrics(const Json& event) {
  Json line{{"time", utc_now()}};
  line.update(event);
  const std::string text = dump_line(line) + "\n";
  const off_t before = ::lseek(metrics_fd_, 0, SEEK_END);
  const ssize_t written = ::write(metrics_fd_, text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return;
  const int error_number = written < 0 ? errno : ENOSPC;
  const bool whole_lines = written <= 0 || (before >= 0 && ::ftruncate(metrics_fd_, before) == 0);
  fail_errno(Exit::io, error_number, (path_ / "metrics.jsonl").string() + (whole_lines ? ": write" : ": write, cut"));
}

// Renamed into place, but not synced: it is only a glance.
void RunDirectory::write_status(const Json& status) noexcept try {
  const fs::path temporary = path_ / ".status.json.tmp";
  const std::string text = dump_line(status) + "\n";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return;
  const bool whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  if (whole) fs::rename(temporary, path_ / "status.json");
} catch (const std::exception&) {
  return;  // the run matters more than a look at it
}

void RunDirectory::finish(const Json& done) {
  done_ = done;
  done_total_ = config_.schedule.total;
  write_run();
}

void RunDirectory::end(int code) {
  ledger_->append({{"event", "end"}, {"time", utc_now()}, {"code", code}});
  write_run();
}

std::optional<int> running_pid(const fs::path& run) {
  const fs::path file = run / "lock";
  if (!fs::exists(file)) return std::nullopt;
  if (FileLock::try_lock(file)) return std::nullopt;
  const std::string text = read_file(file, 64);
  int pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || pid <= 1) return std::nullopt;
  return pid;
}

}  // namespace dl::tool
