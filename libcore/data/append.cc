// SPDX-License-Identifier: MIT
#include "data/append.h"

#include <algorithm>

#include "base/error.h"
#include "data/intake.h"
#include "data/known_input.h"
#include "data/output.h"
#include "data/placement.h"
#include "data/row_writer.h"
#include "data/shard.h"
#include "data/skew.h"

namespace dl::data {

namespace {

FileLock lock_manifest(const fs::path& directory) {
  const fs::path path = directory / "manifest.json";
  (void)read_manifest(directory);  // 66 where there is none; a lock would make one
  std::optional<FileLock> lock = FileLock::try_lock(path);
  if (!lock) fail(Exit::again, "{}: another dl-shard adds rows to it; run again later", path.string());
  return std::move(*lock);
}

// "test.dls", then "test-0001.dls", ...
std::string part_name(const char* part, std::size_t number) {
  return number == 0 ? fmt::format("{}.dls", part) : fmt::format("{}-{:04}.dls", part, number);
}

OpenedInput open_rows(const Schema& schema, const ShardOptions& options, bool key) {
  OpenedInput input;
  input.name = options.input.files.at(0);
  input.schema = schema;
  input.dictionaries = known_categories(schema);
  KnownInput known = open_known(
      input.schema, input.dictionaries, options.input.files,
      {options.input.header, options.input.separator, options.input.labels, options.input.reading}, key);
  if (!known.targets || known.weights != schema.weight.has_value()) {
    fail(Exit::data, "{}: has no column {}, which the shards have", input.name,
         shown(known.targets ? schema.weight->name : schema.target_name()));
  }
  input.rows = std::move(known.rows);
  return input;
}

class Appender {
 public:
  explicit Appender(const ShardOptions& options)
      : options_(options),
        lock_(lock_manifest(options.directory)),
        manifest_(read_manifest(options.directory)),
        output_(options.directory) {}

  Appended append() {
    const bool hash = options_.by == By::hash;
    if (options_.by == By::automatic) fail(Exit::usage, "--by auto looks at a whole table; to --append, name a strategy");
    if (hash && !options_.key_rows && !manifest_.schema.key) {
      fail(Exit::usage, "--by hash: the shards of {} were made without a --key", options_.directory.string());
    }
    if (manifest_.shards.size() + options_.shards > kMostShards) {
      fail(Exit::data, "{}: holds {} shards; with {} more there would be over {}; make the shards anew",
           options_.directory.string(), manifest_.shards.size(), options_.shards, kMostShards);
    }
    // Only a hash looks at keys; where there is none of them, the rows have none.
    Schema schema = manifest_.schema;
    if (!hash || options_.key_rows) schema.key.reset();
    intake_ = std::make_unique<Intake>(open_rows(schema, options_, schema.key.has_value()), intake_options(), true);
    if (hash && options_.key_rows) row_keys_.emplace(intake_->schema(), intake_->dictionaries());
    const DistributionOptions distribution{options_.by, options_.shards, options_.seed, options_.weights,
                                           options_.alpha};
    Placement placement(distribution, intake_->counts(), options_.test, options_.validation);
    count(placement);
    write(placement);
    return finish();
  }

 private:
  IntakeOptions intake_options() {
    IntakeOptions intake;
    intake.directory = options_.directory;
    intake.memory = options_.memory / 2;
    intake.skip_bad = options_.skip_bad;
    intake.note = options_.note;
    intake.progress = [this](std::uint64_t rows, std::uint64_t packed_bytes) {
      if (options_.progress) options_.progress({phase_, rows, packed_bytes});
    };
    return intake;
  }

  std::uint32_t place_of(Placement& placement, const double* row, const Label& label) {
    return next_place(placement, *intake_, row_keys_ ? &*row_keys_ : nullptr, row, label);
  }

  void count(Placement& placement) {
    phase_ = ShardProgress::Phase::fitting;
    rows_.resize(options_.shards + 2);
    intake_->for_each_row(
        [&](const double* row, const Label& label) { ++rows_[place_of(placement, row, label)]; });
  }

  void write(const Placement& placement) {
    phase_ = ShardProgress::Phase::writing;
    std::vector<std::string> names;
    const auto first = static_cast<std::uint32_t>(manifest_.shards.size());
    for (std::uint32_t i = 0; i < options_.shards; ++i) names.push_back(shard_name(first + i));
    names.push_back(part_name("test", manifest_.test.size()));
    names.push_back(part_name("validation", manifest_.validation.size()));
    RowWriter writer(*intake_, output_, names, rows_, options_.shards);
    writer.write(placement, row_keys_ ? &*row_keys_ : nullptr, options_.threads);
  }

  Appended finish() {
    Appended done;
    std::vector<ShardEntry> entries = output_.commit_shards();
    const Statistics before = feature_statistics(options_.directory, manifest_.shards, manifest_.schema);
    const auto take = [&](std::vector<ShardEntry>& part, std::uint64_t rows) {
      if (rows == 0) return;
      part.push_back(entries.back());
      entries.pop_back();
    };
    done.test = rows_[options_.shards];
    done.validation = rows_[options_.shards + 1];
    take(manifest_.validation, done.validation);
    take(manifest_.test, done.test);
    done.drift = drift(manifest_.schema, before,
                       feature_statistics(options_.directory, entries, manifest_.schema));
    done.label_shift = label_distance(class_totals(manifest_.shards), class_totals(entries));
    done.shards = options_.shards;
    for (const ShardEntry& entry : entries) done.training += entry.samples;
    manifest_.shards.insert(manifest_.shards.end(), entries.begin(), entries.end());
    output_.commit_manifest(manifest_text(manifest_));
    done.manifest = manifest_;
    return done;
  }

  const ShardOptions& options_;
  FileLock lock_;
  Manifest manifest_;
  Output output_;
  std::unique_ptr<Intake> intake_;
  std::optional<RowKeys> row_keys_;
  ShardProgress::Phase phase_ = ShardProgress::Phase::reading;
  std::vector<std::uint64_t> rows_;  // of the new shards, the test part, the validation part
};

}  // namespace

void keep_strategy(const Manifest& manifest, ShardOptions& options) {
  options.seed = manifest.seed;
  options.by = by_of(manifest.by);
  if (options.by == By::weighted || options.by == By::dirichlet) options.by = By::random;
  options.key_rows = manifest.key == "*";
}

Appended append_shards(const ShardOptions& options) { return Appender(options).append(); }

}  // namespace dl::data
