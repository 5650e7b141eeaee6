// SPDX-License-Identifier: MIT
#include "added.h"

#include <algorithm>

#include "base/json.h"

namespace dl {

namespace {

constexpr std::size_t kShown = 8;    // features
constexpr double kFar = 0.5;         // deviations
constexpr double kOtherLabels = 0.2;

std::string table(const std::string& directory, const data::Appended& added) {
  const data::Manifest& manifest = added.manifest;
  std::string out = fmt::format("{}: {} training samples added in {} shard{}, {} to test, {} to validation\n",
                                directory, added.training, added.shards, added.shards == 1 ? "" : "s",
                                added.test, added.validation);
  out += fmt::format("{} training samples in {} shards now\n\n", manifest.training_samples(),
                     manifest.shards.size());
  out += fmt::format("  {:<24} {:>12} {:>12} {:>10}\n", "DRIFT OF MEANS", "BEFORE", "NEW", "DEVIATIONS");
  for (std::size_t i = 0; i < std::min(added.drift.size(), kShown); ++i) {
    const data::Drift& one = added.drift[i];
    out += fmt::format("  {:<24} {:>12.6g} {:>12.6g} {:>10.3f}\n", one.feature, one.before, one.now, one.deviations);
  }
  if (added.label_shift) {
    out += fmt::format("  {:<24} {:>12} {:>12} {:>10.3f}\n", "classes' shares", "", "", *added.label_shift);
  }
  return out;
}

Json json(const data::Appended& added) {
  Json out{{"training", added.training}, {"test", added.test}, {"validation", added.validation},
           {"new_shards", added.shards}, {"samples", added.manifest.training_samples()},
           {"shards", added.manifest.shards.size()}, {"drift", Json::array()}};
  for (const data::Drift& one : added.drift) {
    out["drift"].push_back({{"feature", one.feature}, {"before", one.before}, {"now", one.now},
                            {"deviations", one.deviations}});
  }
  if (added.label_shift) out["label_shift"] = *added.label_shift;
  return out;
}

}  // namespace

void show_added(const cli::Given& given, const std::string& directory, const data::Appended& added,
                const Log& log) {
  const std::string text = given.flag("json") ? dump_line(json(added)) + "\n" : table(directory, added);
  std::fwrite(text.data(), 1, text.size(), stdout);
  const auto far = std::count_if(added.drift.begin(), added.drift.end(),
                                 [](const data::Drift& one) { return one.deviations > kFar; });
  if (far > 0) {
    const data::Drift& worst = added.drift.front();
    log.warning("{} of {} features have moved by more than {} deviations, {} the furthest (mean {:.6g}, was {:.6g}); "
                "shards made anew would fit better", far, added.manifest.schema.features(), kFar,
                shown(worst.feature), worst.now, worst.before);
  }
  if (added.label_shift.value_or(0) > kOtherLabels) {
    log.warning("the classes' shares differ by {:.3f} from those of the old rows", *added.label_shift);
  }
}

}  // namespace dl
