// SPDX-License-Identifier: MIT
#include "data/sharder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "data/output.h"
#include "data/placement.h"
#include "data/shard.h"
#include "data/spill.h"

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
    const DistributionOptions distribution{options_.by, options_.shards, options_.seed,
                                           options_.weights, options_.alpha};
    Placement placement(distribution, counts_, options_.test, options_.validation);
    fit(placement);
    write(placement);
    return finish();
  }

 private:
  void report(Phase phase, std::uint64_t rows) const {
    if (options_.progress) options_.progress({phase, rows, input_.rows->packed_bytes()});
  }

  void read() {
    RowSource& rows = *input_.rows;
    spill_ = std::make_unique<Spill>(output_.directory(), rows.width(), options_.memory / 2);
    Labels labels(options_.task);
    std::vector<std::uint64_t> id_counts;
    std::string_view label;
    while (rows.next(spill_->row(), label)) {
      const Label one = labels.add(label, rows);
      if (one.id != kNoLabelId) {
        if (one.id >= id_counts.size()) id_counts.resize(one.id + 1);
        ++id_counts[one.id];
      }
      spill_->end_row(one);
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
    counts_ = {options_.input.files[0], spill_->rows(), {}};
    counts_.classes.resize(kind_.classes.size());
    for (std::size_t id = 0; id < kind_.code_of_id.size(); ++id) {
      counts_.classes[kind_.code_of_id[id]] += id_counts[id];
    }
  }

  SampleFacts facts_of(const Label& label) const {
    SampleFacts facts;
    if (kind_.task == Task::classification) facts.code = kind_.code_of_id[label.id];
    return facts;
  }

  // Scalings from the training part alone, and the size of every shard.
  void fit(Placement& placement) {
    Schema& schema = input_.schema;
    const std::size_t width = schema.features();
    Statistics features(width);
    Statistics target(1);
    part_rows_.resize(options_.shards + 2);
    const bool fitted = options_.scale != Scale::none;
    std::uint64_t row = 0;
    spill_->for_each([&](std::span<const double> values, std::span<const Label> labels) {
      for (const Label& label : labels) {
        const std::uint32_t place = placement.next(facts_of(label));
        ++part_rows_[place];
        if (fitted && place < options_.shards) {
          features.add(values.first(width));
          if (schema.task == Task::regression) target.add(std::span(&label.number, 1));
        }
        values = values.subspan(width);
      }
      report(Phase::fitting, row += labels.size());
    });
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

  void write(Placement& placement) {
    std::vector<ShardWriter*> files;
    for (std::uint32_t i = 0; i < options_.shards; ++i) {
      files.push_back(&open(fmt::format("shard-{:04}.dls", i), part_rows_[i]));
    }
    for (const char* const name : {"test.dls", "validation.dls"}) {
      const std::uint64_t rows = part_rows_[files.size()];
      files.push_back(rows > 0 ? &open(name, rows) : nullptr);
    }
    for (const Scaling& scaling : input_.schema.scalings()) {
      shifts_.push_back(scaling.shift);
      scales_.push_back(scaling.scale);
    }
    const std::size_t width = shifts_.size();
    std::uint64_t row = 0;
    placement.restart();
    spill_->for_each([&](std::span<const double> values, std::span<const Label> labels) {
      for (const Label& label : labels) {
        write_row(*files[placement.next(facts_of(label))], values.data(), label, row++);
        values = values.subspan(width);
      }
      report(Phase::writing, row);
    });
  }

  void write_row(ShardWriter& to, const double* values, const Label& label, std::uint64_t row) const {
    constexpr std::uint32_t kExponent = 0x7f800000;  // all ones: infinite or NaN
    float* const out = to.row();
    const std::size_t width = shifts_.size();
    const double* const shifts = shifts_.data();
    const double* const scales = scales_.data();
    std::uint32_t wild = 0;
#pragma GCC ivdep
    for (std::size_t i = 0; i < width; ++i) {
      out[i] = Scaling{shifts[i], scales[i]}.apply(values[i]);
      wild |= (std::bit_cast<std::uint32_t>(out[i]) & kExponent) == kExponent;
    }
    const float number =
        kind_.task == Task::regression ? input_.schema.scale_target(label.number) : 0;
    if (wild != 0 || !std::isfinite(number)) refuse_wild({out, width}, row);
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

  Manifest finish() {
    Manifest manifest;
    manifest.seed = options_.seed;
    manifest.by = name_of(options_.by);
    if (options_.by == By::weighted) manifest.weights = options_.weights;
    if (options_.by == By::dirichlet) manifest.alpha = options_.alpha;
    manifest.schema = input_.schema;
    std::vector<ShardEntry> entries = output_.commit_shards();
    if (part_rows_[options_.shards + 1] > 0) {
      manifest.validation = entries.back();
      entries.pop_back();
    }
    if (part_rows_[options_.shards] > 0) {
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
  TableCounts counts_;
  std::vector<std::uint64_t> part_rows_;  // of the shards, the test part, the validation part
  std::vector<double> shifts_, scales_;   // by feature
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
