// SPDX-License-Identifier: MIT
#include "data/sharder.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <thread>

#include "base/error.h"
#include "data/intake.h"
#include "data/output.h"
#include "data/placement.h"
#include "data/row_keys.h"
#include "data/row_writer.h"
#include "data/shard.h"

namespace dl::data {

namespace {

using Phase = ShardProgress::Phase;

// One way through: read, choose where auto is asked for, fit, write.
class Sharder {
 public:
  explicit Sharder(const ShardOptions& options)
      : options_(options),
        output_(options.directory, options.force),
        distribution_{options.by, options.shards, options.seed, options.weights, options.alpha} {}

  Manifest make() {
    OpenedInput input = open_input(options_.input);
    if (options_.by == By::hash && !options_.key_rows && !input.schema.key) {
      fail(Exit::usage, "--by hash wants --key COLUMN, whose rows of one value stay together, or --key '*' for rows that are equal");
    }
    IntakeOptions intake;
    intake.directory = output_.directory();
    intake.memory = options_.memory / 2;
    intake.task = options_.task;
    intake.skip_bad = options_.skip_bad;
    intake.note = options_.note;
    intake.progress = [this](std::uint64_t rows, std::uint64_t packed_bytes) {
      if (options_.progress) options_.progress({phase_, rows, packed_bytes});
    };
    intake_ = std::make_unique<Intake>(std::move(input), intake);
    warn_of_header();
    phase_ = Phase::fitting;
    if (options_.by == By::automatic) choose();
    if (whole_rows_) row_keys_.emplace(intake_->schema(), intake_->dictionaries());
    Placement placement(distribution_, intake_->counts(), options_.test, options_.validation);
    fit(placement);
    phase_ = Phase::writing;
    write(placement);
    return finish();
  }

 private:
  void note(Level level, const std::string& text) const {
    if (options_.note) options_.note(level, text);
  }

  // Names above columns of words look like any other row.
  void warn_of_header() const {
    const Schema& schema = intake_->schema();
    if (options_.input.header || schema.input.format != "csv" || schema.input.header) return;
    const auto lonely = intake_->class_of_first_row_alone();
    if (!lonely) return;
    note(Level::warning, fmt::format("the first row is taken for data, and no other row is of its class, {}; if it names the columns, say --header yes (else --header no)",
                                     shown(schema.class_name(*lonely))));
  }

  // What --by auto comes to.
  void choose() {
    const Schema& schema = intake_->schema();
    const RowLayout& layout = intake_->layout();
    if (layout.key) {
      distribution_.by = By::hash;
      note(Level::info, fmt::format("--by auto took hash by {}, which is named as the key", shown(schema.key->name)));
      return;
    }
    Survey survey(key_columns(schema));
    const bool classes = schema.task == Task::classification;
    intake_->for_each_row([&](const double* row, const Label& label) {
      survey.add({row, layout.cells}, classes ? static_cast<double>(intake_->code_of(label))
                                              : intake_->number_of(row, label, 0));
    });
    const Advice advice = advise(survey.finish(intake_->counts()), options_.shards);
    for (const std::string& line : advice.lines) note(Level::info, "--by auto " + line);
    distribution_.by = advice.by;
    whole_rows_ = advice.by == By::hash && !advice.key;
    if (advice.key) intake_->turn_into_key(advice.key->cell);
  }

  std::uint32_t next_place(Placement& placement, const double* row, const Label& label) {
    return data::next_place(placement, *intake_, row_keys_ ? &*row_keys_ : nullptr, row, label);
  }

  // What the schema keeps of the training part, and the size of every shard.
  void fit(Placement& placement) {
    Schema& schema = intake_->schema();
    Fitter fitter(schema, intake_->dictionaries(), options_.fit);
    part_rows_.resize(options_.shards + 2);
    const bool number = schema.task == Task::regression && schema.targets.size() == 1;
    const RowLayout& layout = intake_->layout();
    double weight = 0;
    std::vector<std::uint64_t> classes(schema.target().classes.size());
    intake_->for_each_row([&](const double* row, const Label& label) {
      const std::uint32_t place = next_place(placement, row, label);
      ++part_rows_[place];
      if (place >= options_.shards) return;
      fitter.add(row, number ? std::optional(label.number) : std::nullopt);
      if (!classes.empty()) ++classes[intake_->code_of(label)];
      if (layout.weight) weight += row[layout.weight_place()];
    });
    if (layout.weight && !(weight > 0)) {
      fail(Exit::data, "{}: all training rows weigh 0 (column {}); nothing could be learnt", intake_->counts().name,
           shown(schema.weight->name));
    }
    for (std::size_t i = 0; i < classes.size(); ++i) {
      if (classes[i] > 0) continue;
      note(Level::warning, fmt::format("no training row is of class {}: all of its rows are held out; say another --seed",
                                       shown(schema.target().classes[i])));
    }
    check_keys();
    fitter.finish(schema);
    for (const std::string& text : fitter.notes(schema)) note(Level::info, text);
  }

  void write(const Placement& placement) {
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < options_.shards; ++i) names.push_back(shard_name(i));
    names.insert(names.end(), {"test.dls", "validation.dls"});
    RowWriter writer(*intake_, output_, names, part_rows_, options_.shards);
    writer.write(placement, row_keys_ ? &*row_keys_ : nullptr, options_.threads);
  }

  // Hash promises no sizes.
  void check_keys() const {
    if (distribution_.by != By::hash) return;
    const auto end = part_rows_.begin() + options_.shards;
    const std::string keys = whole_rows_ ? "whole rows" : shown(intake_->schema().key->name);
    if (std::all_of(part_rows_.begin(), end, [](std::uint64_t rows) { return rows == 0; })) {
      fail(Exit::data, "{}: hash by {} puts no row into a shard, all of them into the parts held out: there are too few keys; say another --seed, --test 0, or another --key",
           options_.input.files[0], keys);
    }
    const auto empty = std::count(part_rows_.begin(), end, 0);
    if (empty > 0) {
      note(Level::warning, fmt::format("hash by {} leaves {} of {} shards empty: there are few keys; say a smaller -n", keys, empty, options_.shards));
    }
    if (options_.test > 0 && *end == 0) {
      note(Level::warning, fmt::format("hash by {} puts no key into the test part: there are few keys; say another --seed or a larger --test", keys));
    }
  }

  Manifest finish() {
    Manifest manifest;
    manifest.seed = options_.seed;
    const By by = distribution_.by;
    manifest.by = name_of(by);
    if (by == By::weighted) manifest.weights = options_.weights;
    if (by == By::dirichlet) manifest.alpha = options_.alpha;
    if (by == By::hash) manifest.key = whole_rows_ ? "*" : intake_->schema().key->name;
    manifest.schema = intake_->schema();
    std::vector<ShardEntry> entries = output_.commit_shards();
    if (part_rows_[options_.shards + 1] > 0) {
      manifest.validation = {entries.back()};
      entries.pop_back();
    }
    if (part_rows_[options_.shards] > 0) {
      manifest.test = {entries.back()};
      entries.pop_back();
    }
    manifest.shards = std::move(entries);
    output_.commit_manifest(manifest_text(manifest));
    return manifest;
  }

  const ShardOptions& options_;
  Output output_;
  std::unique_ptr<Intake> intake_;
  Phase phase_ = Phase::reading;
  std::vector<std::uint64_t> part_rows_;  // of the shards, the test part, the validation part
  DistributionOptions distribution_;      // auto: what it came to
  bool whole_rows_ = options_.key_rows;   // are the keys
  std::optional<RowKeys> row_keys_;       // of whole rows
};

}  // namespace

Manifest make_shards(const ShardOptions& options) { return Sharder(options).make(); }

std::string shard_name(std::uint32_t number) { return fmt::format("shard-{:04}.dls", number); }

std::string manifest_text(const Manifest& manifest) {
  // One line for each member, and for each element of a list of objects.
  const std::function<std::string(const Json&, const std::string&)> lines =
      [&lines](const Json& value, const std::string& margin) -> std::string {
    const auto nested = [](const Json& one) { return one.is_structured(); };
    if (!value.is_structured() || std::none_of(value.begin(), value.end(), nested)) {
      return dump_line(value);
    }
    std::string out;
    for (auto at = value.begin(); at != value.end(); ++at) {
      out += (out.empty() ? "\n" : ",\n") + margin + "  ";
      if (value.is_object()) {
        out += dump_line(at.key()) + ": " + lines(*at, margin + "  ");
      } else {
        out += dump_line(*at);
      }
    }
    return (value.is_object() ? "{" : "[") + out + "\n" + margin + (value.is_object() ? "}" : "]");
  };
  return lines(manifest.to_json(), "") + "\n";
}

std::vector<std::string> verify_shards(const fs::path& directory, const Manifest& manifest) {
  std::vector<const ShardEntry*> entries;
  for (const auto* part : {&manifest.shards, &manifest.test, &manifest.validation}) {
    for (const ShardEntry& entry : *part) entries.push_back(&entry);
  }
  std::vector<std::string> complaints(entries.size());
  std::vector<std::exception_ptr> errors(entries.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < entries.size(); i = next++) {
      try {
        (void)open_shard(directory, *entries[i], manifest.schema);
      } catch (const Error& error) {
        if (error.code() == Exit::io) {
          errors[i] = std::current_exception();
        } else {
          complaints[i] = error.what();
        }
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> others;
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  std::erase(complaints, "");
  return complaints;
}

}  // namespace dl::data
