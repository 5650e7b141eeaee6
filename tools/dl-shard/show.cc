// SPDX-License-Identifier: MIT
#include "show.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"

namespace dl {

namespace {

volatile std::sig_atomic_t noted_signal = 0;

std::string row(const data::ShardEntry& entry) {
  return fmt::format("  {:<18} {:>12}  {}\n", entry.file, entry.samples, entry.sha256.substr(0, 16));
}

std::string target_line(const data::Schema& schema) {
  const std::string name = shown(schema.target_name());
  if (schema.task == data::Task::regression) return "regression on " + name;
  std::string classes;
  for (std::size_t i = 0; i < schema.target().classes.size() && i < 12; ++i) {
    classes += (i == 0 ? "" : ", ") + schema.target().classes[i];
  }
  if (schema.target().classes.size() > 12) classes += ", ...";
  return fmt::format("classification on {}, {} classes: {}", name, schema.outputs(), classes);
}

// The strategy and what it was told.
std::string by_text(const data::Manifest& manifest) {
  if (manifest.alpha) return fmt::format("{} (alpha {})", manifest.by, *manifest.alpha);
  if (manifest.key == "*") return manifest.by + " of whole rows";
  if (!manifest.key.empty()) return fmt::format("{} of {}", manifest.by, shown(manifest.key));
  if (manifest.weights.empty()) return manifest.by;
  std::string weights;
  for (std::size_t i = 0; i < manifest.weights.size() && i < 12; ++i) {
    weights += fmt::format("{}{}", i == 0 ? "" : ",", manifest.weights[i]);
  }
  return fmt::format("{} ({}{})", manifest.by, weights, manifest.weights.size() > 12 ? ",..." : "");
}

}  // namespace

std::string manifest_table(const std::string& directory, const data::Manifest& manifest) {
  const data::Schema& schema = manifest.schema;
  std::string out = fmt::format("{}: {} features, {}\n", directory, schema.features(),
                                target_line(schema));
  out += fmt::format("{} training samples in {} shards by {}, seed {}\n\n",
                     manifest.training_samples(), manifest.shards.size(), by_text(manifest),
                     manifest.seed);
  out += fmt::format("  {:<18} {:>12}  {}\n", "FILE", "SAMPLES", "SHA-256");
  for (const data::ShardEntry& entry : manifest.shards) out += row(entry);
  for (const data::ShardEntry& entry : manifest.test) out += row(entry);
  for (const data::ShardEntry& entry : manifest.validation) out += row(entry);
  return out;
}

ProgressLine::ProgressLine(bool wanted, std::uint64_t input_bytes)
    : shown_(wanted && ::isatty(STDERR_FILENO) != 0),
      input_bytes_(input_bytes),
      begin_ns_(monotonic_ns()),
      last_ns_(begin_ns_) {}

ProgressLine::~ProgressLine() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
}

void ProgressLine::show(const data::ShardProgress& progress) {
  if (!shown_) return;
  const std::int64_t now = monotonic_ns();
  if (seconds_between(last_ns_, now) < 0.2) return;
  last_ns_ = now;
  static const char* const names[] = {"reading", "fitting", "writing"};
  std::string line = fmt::format("{}: {} rows", names[static_cast<int>(progress.phase)], progress.rows);
  if (progress.phase == data::ShardProgress::Phase::reading) {
    const auto bytes = static_cast<double>(progress.packed_bytes);
    line += fmt::format(", {:.0f} MB/s", bytes * 1e-6 / seconds_between(begin_ns_, now));
    if (input_bytes_ > 0) {
      const double whole = static_cast<double>(input_bytes_);
      line += fmt::format(", {:.0f} %", 100 * bytes / whole);
      const double left = seconds_between(begin_ns_, now) * (whole / std::max(bytes, 1.0) - 1);
      line += fmt::format(", {:.0f} s of reading left", std::max(left, 0.0));
    }
  }
  fmt::print(stderr, "\r{}\x1b[K", line);
}

void note_signals() {
  struct sigaction action {};
  action.sa_handler = [](int number) { noted_signal = number; };
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

void stop_on_signal() {
  if (noted_signal == 0) return;
  fail(static_cast<Exit>(128 + noted_signal), "stopped by signal {}; nothing was written",
       static_cast<int>(noted_signal));
}

}  // namespace dl
