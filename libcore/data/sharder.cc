// SPDX-License-Identifier: MIT
#include "data/sharder.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "data/output.h"
#include "data/shard.h"
#include "data/spill.h"
#include "data/split.h"

namespace dl::data {

namespace {

using Phase = ShardProgress::Phase;

// One way through: read() -> fit() -> write().
class Sharder {
 public:
  explicit Sharder(const ShardOptions& options)
      : options_(options), output_(options.directory, options.force) {}

  Manifest make() {
    input_ = open_input(options_.input);
    read();
    Split split(spill_->rows(), options_.seed, options_.test, options_.validation);
    if (split.training() < options_.shards) {
      fail(Exit::data, "{}: {} training samples (of {}) are fewer than the {} shards asked for; say -n {} or less",
           options_.input.files[0], split.training(), spill_->rows(), options_.shards,
           std::max<std::uint64_t>(split.training(), 1));
    }
    fit(split);
    write(split);
    return finish(split);
  }

 private:
  void report(Phase phase, std::uint64_t rows) const {
    if (options_.progress) options_.progress({phase, rows, input_.rows->packed_bytes()});
  }

  void read() {
    RowSource& rows = *input_.rows;
    spill_ = std::make_unique<Spill>(output_.directory(), rows.width());
    Labels labels(options_.task);
    std::string_view label;
    while (rows.next(spill_->row(), label)) {
      spill_->end_row(labels.add(label, rows));
      if (spill_->rows() % 1024 == 0) report(Phase::reading, spill_->rows());
    }
    spill_->finish();
    if (spill_->rows() == 0) {
      fail(Exit::data, "{}: has no rows{}", options_.input.files[0],
           input_.schema.input.header ? " below its header" : "");
    }
    kind_ = labels.finish(rows);
    input_.schema.task = kind_.task;
    input_.schema.target.classes = kind_.classes;
  }

  // Scalings from the training part alone, and the size of every shard.
  void fit(Split& split) {
    Schema& schema = input_.schema;
    Statistics features(schema.features());
    Statistics target(1);
    Distribution distribution(options_.by, options_.shards, split.training(), options_.seed);
    shard_rows_.resize(options_.shards);
    const bool fitted = options_.scale != Scale::none;
    std::uint64_t row = 0;
    std::uint64_t training = 0;
    spill_->for_each(
        [&](std::span<const double> values, const Label& label) {
          if (split.part_of(row++) != Part::training) return;
          ++shard_rows_[distribution.shard_of(training++)];
          if (!fitted) return;
          features.add(values);
          if (schema.task == Task::regression) target.add(std::span(&label.number, 1));
        },
        [&] { report(Phase::fitting, row); });
    for (std::size_t i = 0; i < schema.columns.size(); ++i) {
      schema.columns[i].scaling = schema.input.format == "idx"
                                      ? features.common_scaling(options_.scale)
                                      : features.scaling(options_.scale, i);
    }
    // A target far from 0 and 1 trains badly whatever the features' scale is.
    if (schema.task == Task::regression && fitted) {
      schema.target.scaling = target.scaling(Scale::standard, 0);
    }
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
      shape.targets = 1;
    }
    shape.block_rows = usual_block_rows(shape.features, options_.shards);
    return output_.open(name, shape);
  }

  void write(Split& split) {
    std::vector<ShardWriter*> shards;
    for (std::uint32_t i = 0; i < options_.shards; ++i) {
      shards.push_back(&open(fmt::format("shard-{:04}.dls", i), shard_rows_[i]));
    }
    ShardWriter* const test = split.test() > 0 ? &open("test.dls", split.test()) : nullptr;
    ShardWriter* const validation =
        split.validation() > 0 ? &open("validation.dls", split.validation()) : nullptr;
    Distribution distribution(options_.by, options_.shards, split.training(), options_.seed);
    const std::vector<Scaling> scalings = input_.schema.scalings();
    std::uint64_t row = 0;
    std::uint64_t training = 0;
    spill_->for_each(
        [&](std::span<const double> values, const Label& label) {
          const Part part = split.part_of(row);
          ShardWriter& to = part == Part::test         ? *test
                            : part == Part::validation ? *validation
                                                       : *shards[distribution.shard_of(training++)];
          write_row(to, values, scalings, label, row);
          ++row;
        },
        [&] { report(Phase::writing, row); });
  }

  void write_row(ShardWriter& to, std::span<const double> values,
                 const std::vector<Scaling>& scalings, const Label& label, std::uint64_t row) const {
    float* const out = to.row();
    float wild = 0;  // stays 0 unless a feature is infinite or NaN
    for (std::size_t i = 0; i < values.size(); ++i) {
      out[i] = scalings[i].apply(values[i]);
      wild += 0 * out[i];
    }
    const float number =
        kind_.task == Task::regression ? input_.schema.scale_target(label.number) : 0;
    if (wild != 0 || !std::isfinite(number)) refuse_wild({out, values.size()}, row);
    if (kind_.task == Task::classification) {
      to.end_row(kind_.code_of_id[label.id]);
    } else {
      to.end_row(std::span(&number, 1));
    }
  }

  [[noreturn]] void refuse_wild(std::span<const float> features, std::uint64_t row) const {
    const auto at = std::find_if(features.begin(), features.end(),
                                 [](float x) { return !std::isfinite(x); });
    const std::string name =
        at == features.end()
            ? input_.schema.target.name
            : input_.schema.feature_name(static_cast<std::uint32_t>(at - features.begin()));
    fail(Exit::data, "{}: sample {} (from 0), column {}: scaled, it is too large for a float32",
         options_.input.files[0], row, shown(name));
  }

  Manifest finish(const Split& split) {
    Manifest manifest;
    manifest.seed = options_.seed;
    manifest.by = name_of(options_.by);
    manifest.schema = input_.schema;
    std::vector<ShardEntry> entries = output_.commit_shards();
    if (split.validation() > 0) {
      manifest.validation = entries.back();
      entries.pop_back();
    }
    if (split.test() > 0) {
      manifest.test = entries.back();
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
  std::vector<std::uint64_t> shard_rows_;
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
      verify_digest(directory, entry);
      const Shard shard(directory / entry.file);
      const bool classes = manifest.schema.task == Task::classification;
      if (shard.rows() != entry.samples || shard.features() != manifest.schema.features() ||
          (classes ? shard.classes() : shard.targets()) != manifest.schema.outputs()) {
        fail(Exit::data, "{}: rows, features or classes are not what the manifest says",
             (directory / entry.file).string());
      }
    } catch (const Error& error) {
      if (error.code() == Exit::io) throw;
      bad.emplace_back(error.what());
    }
  };
  for (const ShardEntry& entry : manifest.shards) check(entry);
  if (manifest.test) check(*manifest.test);
  if (manifest.validation) check(*manifest.validation);
  return bad;
}

}  // namespace dl::data
