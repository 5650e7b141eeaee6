// SPDX-License-Identifier: MIT
#include "shares.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/skew.h"

namespace dl {

namespace {

constexpr std::size_t kMostColumns = 10, kLongestName = 8;

using Counts = std::vector<std::uint64_t>;

// A column of the table: the classes that are counted in it.
struct ClassColumn {
  std::string name;
  std::vector<std::size_t> codes;

  // Of characters, not of bytes: those of UTF-8 behind the first begin with the bits 10.
  std::size_t width() const {
    const auto letters = std::count_if(name.begin(), name.end(), [](char c) { return (c & 0xC0) != 0x80; });
    return static_cast<std::size_t>(std::max<std::ptrdiff_t>(letters, 5));
  }
};

std::vector<ClassColumn> columns_of(const data::Schema& schema, const Counts& totals) {
  std::vector<std::size_t> order(totals.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::size_t alone = order.size();
  if (order.size() > kMostColumns) {
    alone = kMostColumns - 1;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return totals[a] > totals[b]; });
    std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(alone));
  }
  std::vector<ClassColumn> columns;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i < alone) {
      std::string name = fmt::format("{:.{}}", schema.target().classes[order[i]], kLongestName);
      std::replace_if(name.begin(), name.end(), [](char c) { return c >= 0 && c < ' '; }, '?');
      columns.push_back({std::move(name), {}});
    } else if (i == alone) {
      columns.push_back({"others", {}});
    }
    columns.back().codes.push_back(order[i]);
  }
  return columns;
}

std::string distance_text(std::optional<double> distance) {
  return distance ? fmt::format("{:.3f}", *distance) : "-";
}

std::string row(const std::string& name, std::optional<double> skew,
                const std::vector<ClassColumn>& columns, const Counts& counts) {
  std::string out = fmt::format("  {:<18} {:>5}", name, distance_text(skew));
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  for (const ClassColumn& column : columns) {
    double count = 0;
    for (const std::size_t code : column.codes) count += static_cast<double>(counts[code]);
    const std::string share = total > 0 ? fmt::format("{:.1f}", 100 * count / total) : "-";
    out += fmt::format("  {:>{}}", share, column.width());
  }
  return out + "\n";
}

// To six digits: what is behind them is only the rounding of a division.
double short_number(double x) { return std::round(x * 1e6) / 1e6; }

void tell(Json& json, const data::ShardEntry& entry, const Counts& totals) {
  const auto distance = data::label_distance(entry.class_counts, totals);
  json["skew"] = distance ? Json(short_number(*distance)) : Json();
  if (totals.empty()) return;
  json["shares"] = Json::array();
  for (const std::uint64_t count : entry.class_counts) {
    const auto samples = static_cast<double>(std::max<std::uint64_t>(entry.samples, 1));
    json["shares"].push_back(short_number(static_cast<double>(count) / samples));
  }
}

}  // namespace

std::string shares_table(const data::Manifest& manifest) {
  const Counts totals = data::class_totals(manifest.shards);
  const auto skew = data::label_skew(manifest.shards);
  std::string out = fmt::format("label skew: {}\n", distance_text(skew));
  if (totals.empty()) return out;
  const auto columns = columns_of(manifest.schema, totals);
  out += fmt::format("\n  {:<18} {:>5}", "SHARES IN %", "SKEW");
  for (const ClassColumn& column : columns) out += fmt::format("  {:>5}", column.name);
  out += "\n";
  const auto entry_row = [&](const data::ShardEntry& entry) {
    out += row(entry.file, data::label_distance(entry.class_counts, totals), columns, entry.class_counts);
  };
  for (const data::ShardEntry& shard : manifest.shards) entry_row(shard);
  out += row("all shards", skew, columns, totals);
  for (const data::ShardEntry& entry : manifest.test) entry_row(entry);
  for (const data::ShardEntry& entry : manifest.validation) entry_row(entry);
  return out;
}

Json report(const data::Manifest& manifest) {
  const Counts totals = data::class_totals(manifest.shards);
  const auto skew = data::label_skew(manifest.shards);
  Json json = manifest.to_json();
  json["skew"] = skew ? Json(short_number(*skew)) : Json();
  for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
    tell(json["shards"][i], manifest.shards[i], totals);
  }
  const auto tell_part = [&](const char* name, const std::vector<data::ShardEntry>& part) {
    for (std::size_t i = 0; i < part.size(); ++i) {
      tell(part.size() == 1 ? json[name] : json[name][i], part[i], totals);
    }
  };
  tell_part("test", manifest.test);
  tell_part("validation", manifest.validation);
  return json;
}

}  // namespace dl
