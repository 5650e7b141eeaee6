// SPDX-License-Identifier: MIT
#include "run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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
constexpr double kLookSeconds = 2;

std::string new_run_id() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", device());
  return id;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

// Whether a dl-coord has locked the file. The lock that this takes to find out is gone at once.
bool is_locked(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return false;
  if (fd < 0) fail_errno(Exit::no_input, errno, file.string());
  const bool free = ::flock(fd, LOCK_SH | LOCK_NB) == 0;
  const int error_number = errno;
  ::close(fd);
  if (!free && error_number != EWOULDBLOCK) fail_errno(Exit::io, error_number, file.string() + ": flock");
  return !free;
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
    // Who only looks whether it runs (is_locked) is gone in a moment.
    const double least = is_locked(path / "lock") ? 0 : kLookSeconds;
    if (seconds_between(begin, monotonic_ns()) >= std::max(wait_seconds, least)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const std::optional<Runner> runner = runner_of(path);
  std::string who;
  if (runner && runner->pid > 0) {
    who = fmt::format(" (pid {}{})", runner->pid, runner->here() ? "" : " on " + shown(runner->host));
  }
  fail(Exit::again, "{}: another dl-coord{} runs this run; dl-coord --status shows how far it is", path.string(), who);
}

// Not renamed into place: the lock is on this very file.
void write_runner(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) fail_errno(Exit::io, errno, file.string());
  const std::string text = fmt::format("{} {}\n", ::getpid(), host_name());
  const bool whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error_number = errno;
  ::close(fd);
  if (!whole) fail_errno(Exit::io, error_number, file.string());
}

}  // namespace

RunDirectory::RunDirectory(const Options& options)
    : path_(options.run), lock_(locked(options.run, options.wait_lock_seconds)), config_(options.config) {
  write_runner(path_ / "lock");
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
  if (before.has("ledger")) {
    recorded_ = {before.object("ledger").count("lines"), before.object("ledger").text("sha256")};
  }
  if (before.has("done")) {
    done_ = before.get("done");
    done_total_ = before.count("done_total");
    done_now_ = done_in(path_, before);
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

// One that was stopped early is not made longer.
bool RunDirectory::outgrown() const {
  const bool stopped_early = JsonObject(done_, "run.json: done").count("steps") < done_total_;
  return !stopped_early && config_.schedule.total > done_total_;
}

std::optional<Json> RunDirectory::done() const {
  if (!done_now_ || outgrown()) return std::nullopt;
  return done_now_;
}

void RunDirectory::write_run() {
  const checkpoint::LedgerHead head = ledger_->sync();
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
  if (done_.is_object() && outgrown()) done_ = Json();
  // Who was killed between the two has told the ledger of a group that run.json does not know.
  if (begun_before_) generation_ = std::max(generation_, newest_generation(path_ / "ledger"));
  try {
    ledger_.emplace(path_ / "ledger", recorded_);
  } catch (const Error& error) {
    if (error.code() != Exit::data) throw;
    fail(Exit::data, "{}; put the right one back, or begin a new run (another -o) with --init {}", error.what(),
         path_.string());
  }
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

bool Runner::here() const { return host.empty() || host == host_name(); }

std::optional<Runner> runner_of(const fs::path& run) {
  const fs::path file = run / "lock";
  if (!is_locked(file)) return std::nullopt;
  const std::string text = read_file(file, 512);
  Runner out;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.pid);
  if (error != std::errc() || out.pid <= 1) return Runner();
  out.host = text.substr(static_cast<std::size_t>(end - text.data()));
  std::erase_if(out.host, [](char c) { return c == ' ' || c == '\n'; });
  return out;
}

std::optional<Json> done_in(const fs::path& run, const JsonObject& run_json) {
  if (!run_json.has("done")) return std::nullopt;
  Json done = run_json.get("done");
  const fs::path checkpoint = run / fs::path(JsonObject(done, run_json.what() + ": done").text("checkpoint")).filename();
  std::error_code none;
  if (!fs::exists(checkpoint, none)) return std::nullopt;
  done["checkpoint"] = checkpoint.string();
  return done;
}

}  // namespace dl::tool
