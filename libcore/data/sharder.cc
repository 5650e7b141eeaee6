// SPDX-License-Identifier: MIT
#include "data/sharder.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "data/encoder.h"
#include "data/output.h"
#include "data/placement.h"
#include "data/row_keys.h"
#include "data/shard.h"
#include "data/spill.h"

namespace dl::data {

namespace {

using Phase = ShardProgress::Phase;

// One way through: read() -> fit() -> write().
class Sharder {
 public:
  explicit Sharder(const ShardOptions& options)
      : options_(options),
        output_(options.directory, options.force),
        distribution_{options.by, options.shards, options.seed, options.weights, options.alpha} {}

  Manifest make() {
    input_ = open_input(options_.input);
    if (options_.by == By::hash && !options_.key_rows && !input_.schema.key) {
      fail(Exit::usage, "--by hash wants --key COLUMN, whose rows of one value stay together, or --key '*' for rows that are equal");
    }
    read();
    if (options_.by == By::automatic) choose();
    if (whole_rows_) row_keys_.emplace(input_.schema, input_.dictionaries);
    Placement placement(distribution_, counts_, options_.test, options_.validation);
    fit(placement);
    write(placement);
    return finish();
  }

 private:
  void report(Phase phase, std::uint64_t rows) const {
    if (options_.progress) options_.progress({phase, rows, input_.rows->packed_bytes()});
  }

  void note(Level level, const std::string& text) const {
    if (options_.note) options_.note(level, text);
  }

  void read() {
    RowSource& rows = *input_.rows;
    layout_ = RowLayout::of(input_.schema);
    spill_ = std::make_unique<Spill>(output_.directory(), rows.width(), options_.memory / 2);
    Labels labels(options_.task);
    std::vector<std::uint64_t> id_counts;
    std::string_view label;
    for (bool more = true; more;) {
      try {
        while ((more = rows.next(spill_->row(rows.width()), label))) {
          if (layout_.targets > 0 || layout_.weight) check_row(spill_->row());
          const Label one = layout_.targets > 0 ? Label{} : labels.add(label, rows);
          if (one.id != kNoLabelId) {
            if (one.id >= id_counts.size()) id_counts.resize(one.id + 1);
            ++id_counts[one.id];
          }
          spill_->end_row(one);
          if (spill_->rows() % 1024 == 0) report(Phase::reading, spill_->rows());
        }
      } catch (const BadRow& bad) {
        skip(bad);
      }
    }
    if (skipped_ > 0) note(Level::warning, fmt::format("{} bad rows were skipped", skipped_));
    if (spill_->rows() == 0) {
      fail(Exit::data, "{}: has no rows{}", options_.input.files[0],
           input_.schema.input.header ? " below its header" : "");
    }
    spill_->finish(rows.complete(input_.schema));
    layout_ = RowLayout::of(input_.schema);
    counts_ = {options_.input.files[0], spill_->rows(), {}};
    if (layout_.targets > 0) {
      kind_.task = Task::regression;
      return;
    }
    kind_ = labels.finish(rows);
    input_.schema.task = kind_.task;
    input_.schema.targets[0].classes = kind_.classes;
    counts_.classes.resize(kind_.classes.size());
    for (std::size_t id = 0; id < kind_.code_of_id.size(); ++id) {
      counts_.classes[kind_.code_of_id[id]] += id_counts[id];
    }
  }

  // What --by auto comes to.
  void choose() {
    if (layout_.key) {
      distribution_.by = By::hash;
      note(Level::info, fmt::format("--by auto took hash by {}, which is named as the key", shown(input_.schema.key->name)));
      return;
    }
    Survey survey(key_columns(input_.schema));
    for_each_row(Phase::fitting, [&](const double* row, const Label& label) {
      survey.add({row, layout_.cells}, kind_.task == Task::classification
                                           ? static_cast<double>(kind_.code_of_id[label.id])
                                           : number_of(row, label, 0));
    });
    const Advice advice = advise(survey.finish(counts_), options_.shards);
    for (const std::string& line : advice.lines) note(Level::info, "--by auto " + line);
    distribution_.by = advice.by;
    whole_rows_ = advice.by == By::hash && !advice.key;
    if (!advice.key) return;
    turned_.emplace(input_.schema, input_.dictionaries, advice.key->cell);
    layout_ = RowLayout::of(input_.schema);
  }

  // All rows in order, as the schema has them.
  template <typename Row>
  void for_each_row(Phase phase, Row&& each) {
    std::uint64_t row = 0;
    spill_->for_each([&](std::span<const double> values, std::span<const Label> labels) {
      for (const Label& label : labels) {
        each(turned_ ? turned_->turn(values.data()) : values.data(), label);
        values = values.subspan(layout_.width());
      }
      report(phase, row += labels.size());
    });
  }

  double number_of(const double* row, const Label& label, std::uint32_t target) const {
    return layout_.targets > 0 ? row[layout_.cells + target] : label.number;
  }

  std::uint32_t next_place(Placement& placement, const double* row, const Label& label) {
    if (placement.knows_next()) return placement.next({});
    SampleFacts facts;
    if (kind_.task == Task::classification) facts.code = kind_.code_of_id[label.id];
    if (row_keys_) {
      facts.key = row_keys_->of_row(row);
    } else if (layout_.key) {
      facts.key = static_cast<std::uint64_t>(row[layout_.key_place()]);
    }
    return placement.next(facts);
  }

  // What the reader lets pass as missing, but a weight or a target may not be.
  void check_row(const double* row) const {
    const auto where = [&](const PlainColumn& column) {
      return fmt::format("{}, column {} ({})", input_.rows->place(), column.index, shown(column.name));
    };
    const Schema& schema = input_.schema;
    for (std::uint32_t i = 0; i < layout_.targets; ++i) {
      if (!std::isnan(row[layout_.cells + i])) continue;
      const Target& target = schema.targets[i];
      fail_row("{}: the number to predict is missing; fill it in or leave the row out",
               where({target.name, target.index}));
    }
    if (!layout_.weight) return;
    const double weight = row[layout_.weight_place()];
    if (!(weight >= 0)) {
      fail_row("{}: the weight is {}; it must be a number from 0 up", where(*schema.weight),
               std::isnan(weight) ? "missing" : fmt::format("{}", weight));
    }
  }

  void skip(const BadRow& bad) {
    constexpr std::uint64_t kShown = 10;
    if (options_.skip_bad == 0) throw bad;
    if (skipped_ == options_.skip_bad) {
      fail(Exit::data, "{} (after {} other bad rows, as many as --skip-bad allows)", bad.what(), skipped_);
    }
    if (++skipped_ <= kShown) note(Level::warning, fmt::format("skipped: {}", bad.what()));
  }

  // What the schema keeps of the training part, and the size of every shard.
  void fit(Placement& placement) {
    Schema& schema = input_.schema;
    Fitter fitter(schema, input_.dictionaries, options_.fit);
    part_rows_.resize(options_.shards + 2);
    const bool number = schema.task == Task::regression && layout_.targets == 0;
    for_each_row(Phase::fitting, [&](const double* row, const Label& label) {
      const std::uint32_t place = next_place(placement, row, label);
      ++part_rows_[place];
      if (place < options_.shards) fitter.add(row, number ? std::optional(label.number) : std::nullopt);
    });
    check_keys();
    fitter.finish(schema);
    for (const std::string& text : fitter.notes(schema)) note(Level::info, text);
  }

  ShardWriter& open(const std::string& name, std::uint64_t rows) {
    if (rows > UINT32_MAX) {
      fail(Exit::data, "{}: {} samples, but a shard holds at most {}; ask for more shards (-n)", name,
           rows, UINT32_MAX);
    }
    ShardShape shape;
    shape.rows = static_cast<std::uint32_t>(rows);
    shape.features = input_.schema.features();
    if (kind_.task == Task::classification) {
      shape.classes = static_cast<std::uint32_t>(kind_.classes.size());
    } else {
      shape.targets = input_.schema.outputs();
    }
    shape.weights = layout_.weight;
    shape.block_rows = usual_block_rows(shape.features, options_.shards);
    return output_.open(name, shape);
  }

  void write(Placement& placement) {
    std::vector<ShardWriter*> files;
    for (std::uint32_t i = 0; i < options_.shards; ++i) {
      files.push_back(&open(fmt::format("shard-{:04}.dls", i), part_rows_[i]));
    }
    for (const char* const name : {"test.dls", "validation.dls"}) {
      const std::uint64_t rows = part_rows_[files.size()];
      files.push_back(rows > 0 ? &open(name, rows) : nullptr);
    }
    const Encoder encoder(input_.schema, input_.dictionaries);
    std::uint64_t row = 0;
    placement.restart();
    for_each_row(Phase::writing, [&](const double* values, const Label& label) {
      ShardWriter& to = *files[next_place(placement, values, label)];
      if (!encoder.encode(values, to.row())) refuse_wild(to.row(), row);
      end_row(to, values, label, row++);
    });
  }

  // Hash promises no sizes.
  void check_keys() const {
    if (distribution_.by != By::hash) return;
    const auto end = part_rows_.begin() + options_.shards;
    const std::string keys = whole_rows_ ? "whole rows" : shown(input_.schema.key->name);
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

  void end_row(ShardWriter& to, const double* values, const Label& label, std::uint64_t row) {
    const float weight =
        layout_.weight ? static_cast<float>(values[layout_.weight_place()]) : 1.0F;
    const Schema& schema = input_.schema;
    if (kind_.task == Task::classification) {
      to.end_row(kind_.code_of_id[label.id], weight);
      return;
    }
    numbers_.resize(schema.targets.size());
    for (std::uint32_t i = 0; i < numbers_.size(); ++i) {
      numbers_[i] = schema.scale_target(number_of(values, label, i), i);
      if (!std::isfinite(numbers_[i])) refuse_wild(schema.targets[i].name, row);
    }
    to.end_row(numbers_, weight);
  }

  [[noreturn]] void refuse_wild(const float* features, std::uint64_t row) const {
    std::uint32_t at = 0;
    while (std::isfinite(features[at])) ++at;
    refuse_wild(input_.schema.feature_name(at), row);
  }

  [[noreturn]] void refuse_wild(const std::string& name, std::uint64_t row) const {
    fail(Exit::data, "{}: sample {} (from 0), column {}: scaled, it is too large for a float32",
         options_.input.files[0], row, shown(name));
  }

  Manifest finish() {
    Manifest manifest;
    manifest.seed = options_.seed;
    const By by = distribution_.by;
    manifest.by = name_of(by);
    if (by == By::weighted) manifest.weights = options_.weights;
    if (by == By::dirichlet) manifest.alpha = options_.alpha;
    if (by == By::hash) manifest.key = whole_rows_ ? "*" : input_.schema.key->name;
    manifest.schema = input_.schema;
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
  OpenedInput input_;
  std::unique_ptr<Spill> spill_;
  LabelKind kind_;
  TableCounts counts_;
  std::vector<std::uint64_t> part_rows_;  // of the shards, the test part, the validation part
  RowLayout layout_;
  DistributionOptions distribution_;      // auto: what it came to
  bool whole_rows_ = options_.key_rows;   // are the keys
  std::optional<RowKeys> row_keys_;       // of whole rows
  std::optional<TurnedKey> turned_;       // the column that auto took for the key
  std::vector<float> numbers_;  // of the row that is written
  std::uint64_t skipped_ = 0;
};

}  // namespace

Manifest make_shards(const ShardOptions& options) { return Sharder(options).make(); }

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
  std::vector<std::string> bad;
  const auto check = [&](const ShardEntry& entry) {
    try {
      (void)open_shard(directory, entry, manifest.schema);
    } catch (const Error& error) {
      if (error.code() == Exit::io) throw;
      bad.emplace_back(error.what());
    }
  };
  for (const ShardEntry& entry : manifest.shards) check(entry);
  for (const ShardEntry& entry : manifest.test) check(entry);
  for (const ShardEntry& entry : manifest.validation) check(entry);
  return bad;
}

}  // namespace dl::data
