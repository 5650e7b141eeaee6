// SPDX-License-Identifier: MIT
#include "data/placement.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace dl::data {

Placement::AnySplit Placement::split_for(const DistributionOptions& options,
                                         const TableCounts& table, double test, double validation) {
  if (options.by == By::hash) return KeySplit(options.seed, test, validation);
  if (wants_classes(options.by)) {
    return StratifiedSplit(table.classes, options.seed, test, validation);
  }
  return Split(table.samples, options.seed, test, validation);
}

TableCounts Placement::training_of(const AnySplit& split) {
  TableCounts counts;
  if (const auto* const by_class = std::get_if<StratifiedSplit>(&split)) {
    counts.classes = by_class->training();
    counts.samples = std::accumulate(counts.classes.begin(), counts.classes.end(), std::uint64_t{0});
  } else if (const auto* const by_number = std::get_if<Split>(&split)) {
    counts.samples = by_number->training();
  }
  return counts;
}

Placement::State Placement::begin(const DistributionOptions& options, const TableCounts& table,
                                  double test, double validation) {
  if (wants_classes(options.by) && table.classes.empty()) {
    fail(Exit::data, "{}: --by {} is for classes, but numbers are predicted here; say --by random, or --task classification",
         table.name, name_of(options.by));
  }
  AnySplit split = split_for(options, table, test, validation);
  TableCounts training = training_of(split);
  training.name = table.name;
  const auto to_fill = static_cast<std::uint64_t>(
      options.by == By::weighted ? std::count_if(options.weights.begin(), options.weights.end(),
                                                 [](double weight) { return weight > 0; })
                                 : options.shards);
  if (options.by != By::hash && training.samples < to_fill) {
    fail(Exit::data, "{}: {} training samples (of {}) are fewer than the {} shards asked for; say -n {} or less",
         table.name, training.samples, table.samples, to_fill,
         std::max<std::uint64_t>(training.samples, 1));
  }
  return {std::move(split), Distribution(options, training), 0};
}

Placement::Placement(const DistributionOptions& options, const TableCounts& table, double test,
                     double validation, std::size_t most_known)
    : most_known_(most_known), now_(begin(options, table, test, validation)) {}

void Placement::restart() {
  sample_ = 0;
  if (behind_known_) now_ = *behind_known_;
}

std::uint32_t Placement::look(std::uint64_t sample, const SampleFacts& facts) {
  if (sample == most_known_ && !behind_known_) behind_known_ = now_;
  struct PartOf {
    std::uint64_t sample;
    const SampleFacts& facts;
    Part operator()(Split& split) const { return split.part_of(sample); }
    Part operator()(StratifiedSplit& split) const { return split.part_of(sample, facts.code); }
    Part operator()(KeySplit& split) const { return split.part_of(facts.key); }
  };
  std::uint32_t place = shards();
  switch (std::visit(PartOf{sample, facts}, now_.split)) {
    case Part::training: place = now_.distribution.shard_of(now_.training++, facts); break;
    case Part::test: break;
    case Part::validation: ++place; break;
  }
  if (sample < most_known_) known_.push_back(static_cast<std::uint16_t>(place));
  return place;
}

}  // namespace dl::data
