// SPDX-License-Identifier: MIT
#include "data/survey.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/error.h"

namespace dl::data {

namespace {

constexpr double kFewRepeats = 0.005;     // and fewer are chance
constexpr double kKeysOfAShard = 4;       // fewer, and shards would be very uneven
constexpr double kRowsOfAShard = 100;     // different rows
constexpr double kInOrder = 0.5;          // of the disorder

constexpr std::array<std::string_view, 21> kThings = {
    "id",      "user",   "patient", "subject",   "customer", "client", "account",
    "machine", "device", "session", "group",     "person",   "member", "household",
    "student", "host",   "vehicle", "uid",       "uuid",     "guid",   "key"};

bool is_thing(std::string_view word) {
  return std::find(kThings.begin(), kThings.end(), word) != kThings.end();
}

// "PatientID 2" -> "patient", "id", "2"
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words;
  bool open = false;
  bool small = false;  // the character before
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) == 0) {
      open = small = false;
      continue;
    }
    if (!open || (small && std::isupper(byte) != 0)) words.emplace_back();
    open = true;
    small = std::islower(byte) != 0;
    words.back() += static_cast<char>(std::tolower(byte));
  }
  return words;
}

std::string percent(double share) { return fmt::format("{:.{}f} %", 100 * share, share < 0.1 ? 1 : 0); }

std::string what_was_seen(const Findings& findings, std::uint32_t shards) {
  const auto& classes = findings.counts.classes;
  std::string text = fmt::format("saw {} rows", findings.counts.samples);
  if (classes.empty()) {
    text += " with numbers to predict";
    text += findings.disorder < kInOrder
                ? ", neighbours alike as in a series of time: contiguous shards would each see another stretch"
                : ", in no order";
    return text;
  }
  const std::uint64_t rarest = *std::min_element(classes.begin(), classes.end());
  text += fmt::format(" of {} classes, the rarest with {} (for {} shards)", classes.size(), rarest, shards);
  text += findings.disorder < kInOrder
              ? ", in the order of their classes: contiguous shards would each see few of them"
              : ", in no order";
  return text;
}

// The one that joins most.
const Findings::Key* best_key(const Findings& findings, std::uint32_t shards) {
  const Findings::Key* best = nullptr;
  for (const Findings::Key& key : findings.keys) {
    if (!key.complete || key.repeats <= kFewRepeats || key.distinct < kKeysOfAShard * shards) continue;
    if (best == nullptr || key.distinct < best->distinct) best = &key;
  }
  return best;
}

// Why a column that is called like a key is none.
std::string why_not(const Findings::Key& key, std::uint32_t shards) {
  const std::string name = shown(key.column.name);
  if (!key.complete) return fmt::format("column {} is no key: some rows have none there", name);
  if (key.repeats <= kFewRepeats) return fmt::format("column {} is no key: hardly a value comes again", name);
  return fmt::format("column {} is no key: {:.0f} different values are few for {} shards", name,
                     key.distinct, shards);
}

}  // namespace

bool names_a_key(std::string_view name) {
  const std::vector<std::string> words = words_of(name);
  if (words.empty()) return false;
  if (words.front() == "id" || is_thing(words.back())) return true;
  const std::string_view last = words.back();  // "userid"
  return last.ends_with("id") && is_thing(last.substr(0, last.size() - 2));
}

Survey::Survey(std::vector<KeyColumn> columns) {
  if (columns.size() > kMostKeys) columns.resize(kMostKeys);
  for (KeyColumn& column : columns) keys_.push_back({std::move(column), DistinctSample(), true});
}

void Survey::add(std::span<const double> cells, double label) {
  rows_.add(hash_of(cells));
  for (Looked& key : keys_) {
    const double value = cells[key.column.cell];
    key.complete = key.complete && value == std::trunc(value) && std::abs(value) < key.column.end;
    if (key.complete) key.values.add(hash_of({&value, 1}));
  }
  const auto count = static_cast<double>(rows_.total());
  if (count > 1) {
    changes_ += label != before_;
    steps_ += (label - before_) * (label - before_);
  }
  const double off = label - mean_;
  mean_ += off / count;
  squares_ += off * (label - mean_);
  before_ = label;
}

Findings Survey::finish(const TableCounts& counts) const {
  Findings findings;
  findings.counts = counts;
  findings.distinct_rows = rows_.distinct();
  findings.repeated_rows = rows_.repeats();
  const auto rows = static_cast<double>(rows_.total());
  double expected = 2 * squares_;  // of squared differences of neighbours, in random order
  double seen = steps_;
  if (!counts.classes.empty()) {
    expected = rows;
    for (const std::uint64_t count : counts.classes) {
      expected -= static_cast<double>(count) / rows * static_cast<double>(count);
    }
    seen = static_cast<double>(changes_);
  }
  if (expected > 0) findings.disorder = seen / expected;
  for (const Looked& key : keys_) {
    findings.keys.push_back({key.column, key.values.distinct(), key.values.repeats(), key.complete});
  }
  return findings;
}

Advice advise(const Findings& findings, std::uint32_t shards) {
  Advice advice;
  auto& lines = advice.lines;
  lines.push_back(what_was_seen(findings, shards));
  const Findings::Key* const key = best_key(findings, shards);
  for (const Findings::Key& one : findings.keys) {
    if (key == nullptr) lines.push_back(why_not(one, shards));
  }
  if (key != nullptr) {
    advice.by = By::hash;
    advice.key = key->column;
    lines.push_back(fmt::format(
        "took hash by {0} (--key {0}): it has about {1:.0f} values, {2} of the rows repeat one of them, and "
        "rows of one value would stand on both sides of the test border",
        shown(key->column.name), key->distinct, percent(key->repeats)));
    return advice;
  }
  if (findings.repeated_rows > kFewRepeats) {
    const std::string repeated = fmt::format("{} of the rows repeat an earlier one", percent(findings.repeated_rows));
    if (findings.distinct_rows >= kRowsOfAShard * shards) {
      advice.by = By::hash;
      lines.push_back(fmt::format(
          "took hash by whole rows (--key '*'): {}, and copies would stand on both sides of the test border",
          repeated));
      return advice;
    }
    lines.push_back(fmt::format("{}, but there are only {:.0f} different ones: too few to keep copies together",
                                repeated, findings.distinct_rows));
  }
  const auto& classes = findings.counts.classes;
  if (classes.empty()) {
    lines.emplace_back("took random: numbers have no classes to keep even");
  } else if (!fits_quotas(classes.size(), shards)) {
    lines.emplace_back("took random: there are too many classes to keep each of them even");
  } else {
    advice.by = By::stratified;
    lines.emplace_back("took stratified: each shard and the test part get their share of each class");
  }
  return advice;
}

}  // namespace dl::data
