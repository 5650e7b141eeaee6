// SPDX-License-Identifier: MIT
// dl-shard(1): rows in, shards out.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "added.h"
#include "base/json.h"
#include "cli.h"
#include "columns.h"
#include "data/append.h"
#include "data/export.h"
#include "data/sharder.h"
#include "options.h"
#include "shares.h"
#include "show.h"

namespace {

using namespace dl;

void show(const cli::Given& given, const std::string& directory, const data::Manifest& manifest) {
  std::string text = given.flag("json") ? dump_line(report(manifest)) + "\n"
                                        : manifest_table(directory, manifest);
  if (given.has("info") && !given.flag("json")) {
    text += "\n" + columns_table(manifest.schema) + "\n" + shares_table(manifest);
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Exit verify(const std::string& directory, const Log& log) {
  const data::Manifest manifest = data::read_manifest(directory);
  const std::vector<std::string> bad = data::verify_shards(directory, manifest);
  for (const std::string& line : bad) log.error("{}", line);
  if (bad.empty()) log.info("{}: all files are as they were written", directory);
  return bad.empty() ? Exit::ok : Exit::no;
}

Exit export_csv(const std::string& directory, const std::string& split) {
  data::export_csv(directory, data::read_manifest(directory), split, [](std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) cli::flush_stdout();
  });
  return Exit::ok;
}

Exit write_schema(const std::string& file, const data::InputOptions& input) {
  const std::string text = data::inferred_schema(input);
  if (file == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    write_file(file, text);
  }
  return Exit::ok;
}

// Every shard is an open file while it is written.
void allow_open_files(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Exit work(const cli::Given& given, const Log& log) {
  if (const auto looks = instead_of_writing(given)) {
    if (*looks == "verify") return verify(given.text("verify"), log);
    if (*looks == "export") return export_csv(given.text("export"), given.text("split"));
    show(given, given.text("info"), data::read_manifest(given.text("info")));
    return Exit::ok;
  }
  data::ShardOptions options = options_of(given);
  if (given.has("write-schema")) return write_schema(given.text("write-schema"), options.input);
  note_signals();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  allow_open_files(options.shards + 64);
  data::Manifest manifest;
  std::optional<data::Appended> added;
  {
    ProgressLine line(log.shows(Level::info), data::input_bytes(options.input.files));
    options.input.reading.interrupted = stop_on_signal;
    // Hints are for people: cron is not told twice a night.
    const bool hints = ::isatty(STDERR_FILENO) != 0 || log.shows(Level::debug) ||
                       options.by == data::By::automatic;  // who lets it choose wants to know what
    options.note = [&log, hints](Level level, const std::string& text) {
      if (level == Level::warning || (hints && log.shows(level))) log.write(level, text);
    };
    options.progress = [&line](const data::ShardProgress& progress) {
      stop_on_signal();
      line.show(progress);
    };
    if (given.has("append")) {
      added = data::append_shards(options);
      manifest = added->manifest;
    } else {
      manifest = data::make_shards(options);
    }
  }
  if (added) {
    show_added(given, options.directory.string(), *added, log);
    return Exit::ok;
  }
  if (options.test > 0 && manifest.test.empty() && manifest.by != "hash") {
    log.warning("--test {}: that is less than half a sample, so there is no test part", options.test);
  }
  show(given, options.directory.string(), manifest);
  return Exit::ok;
}

}  // namespace

int main(int argc, char** argv) { return dl::cli::run(shard_options(), argc, argv, work); }
