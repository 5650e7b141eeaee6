// SPDX-License-Identifier: MIT
#include "data/refit.h"

#include <algorithm>

#include "data/output.h"
#include "data/shard.h"
#include "data/sharder.h"
#include "data/statistics.h"

namespace dl::data {

namespace {

// Numbers among the features: those that a scaling belongs to, in feature order.
std::vector<std::uint32_t> number_features(const Schema& schema) {
  std::vector<std::uint32_t> out;
  std::uint32_t feature = 0;
  for (const Column& column : schema.columns) {
    for (std::uint32_t i = 0; column.kind == Kind::number && i < column.width; ++i) out.push_back(feature + i);
    feature += column.features();
  }
  return out;
}

double undone(float value, const Scaling& scaling) {
  return static_cast<double>(value) / scaling.scale + scaling.shift;
}

bool one_run(const Schema& schema) { return schema.columns.size() == 1 && schema.columns[0].width > 1; }

class Refit {
 public:
  Refit(const fs::path& from, const Manifest& manifest, std::uint32_t held_out)
      : from_(from),
        old_(manifest.schema),
        all_(manifest),
        made_(without_shard(manifest, held_out)),
        numbers_(number_features(old_)),
        scalings_(old_.scalings()) {}

  Manifest write(const fs::path& into) {
    fit();
    Output output(into, true);
    for (std::size_t i = 0; i < made_.shards.size(); ++i) {
      copy(made_.shards[i], output, fmt::format("shard-{:04}.dls", i));
    }
    copy(made_.test[0], output, "test.dls");
    for (const ShardEntry& entry : made_.validation) copy(entry, output, entry.file);
    std::vector<ShardEntry> entries = output.commit_shards();
    auto next = entries.begin();
    for (std::vector<ShardEntry>* part : {&made_.shards, &made_.test, &made_.validation}) {
      for (ShardEntry& entry : *part) entry = std::move(*next++);
    }
    output.commit_manifest(manifest_text(made_));
    return made_;
  }

 private:
  // What the numbers of these shards were before they were scaled, or (raw false) as they stand there.
  Statistics statistics(const std::vector<ShardEntry>& shards, bool raw) const {
    Statistics found(numbers_.size());
    std::vector<double> row(numbers_.size());
    for (const ShardEntry& entry : shards) {
      const Shard shard = open_shard(from_, entry, old_);
      for (std::uint32_t r = 0; r < shard.rows(); ++r) {
        const std::span<const float> features = shard.row(r);
        for (std::size_t i = 0; i < numbers_.size(); ++i) {
          const float value = features[numbers_[i]];
          row[i] = raw ? undone(value, scalings_[numbers_[i]]) : static_cast<double>(value);
        }
        found.add(row);
      }
    }
    return found;
  }

  // The manifest does not say what was asked for. Standard scaling has given every number that varies
  // the deviation 1 over all shards; one within [0, 1] has at most 0.5.
  Scale kind() const {
    const auto plain = [this](std::uint32_t f) { return scalings_[f] == Scaling{}; };
    if (std::all_of(numbers_.begin(), numbers_.end(), plain)) return Scale::none;
    const Statistics stands = statistics(all_.shards, false);
    if (one_run(old_)) return 1 / stands.common_scaling(Scale::standard).scale > 0.7 ? Scale::standard : Scale::minmax;
    double sum = 0, varying = 0;
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      if (stands.constant(i)) continue;
      sum += 1 / stands.scaling(Scale::standard, i).scale;
      ++varying;
    }
    return sum > 0.7 * varying ? Scale::standard : Scale::minmax;
  }

  void fit() {
    if (!numbers_.empty()) fit_features();
    if (old_.task == Task::regression) fit_targets();
    fresh_ = made_.schema.scalings();
  }

  void fit_features() {
    const Scale scale = kind();
    const Statistics found = statistics(made_.shards, true);
    std::size_t number = 0;
    for (Column& column : made_.schema.columns) {
      if (column.kind != Kind::number) continue;
      column.scaling = one_run(old_) ? found.common_scaling(scale) : found.scaling(scale, number);
      number += column.width;
    }
  }

  void fit_targets() {
    const std::size_t count = old_.targets.size();
    Statistics found(count);
    std::vector<double> row(count);
    for (const ShardEntry& entry : made_.shards) {
      const Shard shard = open_shard(from_, entry, old_);
      for (std::uint32_t r = 0; r < shard.rows(); ++r) {
        for (std::size_t i = 0; i < count; ++i) row[i] = undone(shard.numbers(r)[i], old_.targets[i].scaling);
        found.add(row);
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      Scaling& scaling = made_.schema.targets[i].scaling;
      if (!(scaling == Scaling{})) scaling = found.scaling(Scale::standard, i);
    }
  }

  void copy(const ShardEntry& entry, Output& output, const std::string& name) const {
    const Shard shard = open_shard(from_, entry, old_);
    ShardShape shape;
    shape.rows = shard.rows();
    shape.features = shard.features();
    shape.targets = shard.targets();
    shape.classes = shard.classes();
    shape.weights = shard.has_weights();
    ShardWriter& writer = output.open(name, shape);
    std::vector<float> targets(shard.targets());
    for (std::uint32_t r = 0; r < shard.rows(); ++r) {
      float* const row = writer.row();
      std::copy_n(shard.row(r).data(), shape.features, row);
      for (const std::uint32_t f : numbers_) row[f] = fresh_[f].apply(undone(row[f], scalings_[f]));
      if (shape.classes > 0) {
        writer.end_row(shard.label(r), shard.weight(r));
        continue;
      }
      for (std::uint32_t i = 0; i < shape.targets; ++i) {
        targets[i] = made_.schema.scale_target(undone(shard.numbers(r)[i], old_.targets[i].scaling), i);
      }
      writer.end_row(targets, shard.weight(r));
    }
  }

  const fs::path& from_;
  const Schema& old_;
  const Manifest& all_;
  Manifest made_;
  std::vector<std::uint32_t> numbers_;
  std::vector<Scaling> scalings_, fresh_;  // by feature
};

}  // namespace

Manifest refit(const fs::path& from, const Manifest& manifest, std::uint32_t held_out, const fs::path& into) {
  return Refit(from, manifest, held_out).write(into);
}

}  // namespace dl::data
