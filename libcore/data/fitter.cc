// SPDX-License-Identifier: MIT
#include "data/fitter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace dl::data {

namespace {

constexpr std::uint64_t kFewRows = 20;  // too few to call a column useless

}  // namespace

Fitter::Fitter(const Schema& schema, std::span<const Dictionary> dictionaries, const FitOptions& options)
    : options_(options),
      layout_(RowLayout::of(schema)),
      dictionaries_(dictionaries),
      cells_(layout_.cells),
      targets_(std::max(layout_.targets, 1U)) {
  std::uint32_t cell = 0;
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    const Column& column = schema.columns[i];
    Texts& texts = texts_.emplace_back();
    texts.cell = cell;
    if (column.kind == Kind::category) {
      texts.counts.resize(dictionaries[i].texts().size() + 2);
    } else if (column.width == 1 && schema.input.format == "csv") {
      ascending_.push_back(cell);
    }
    cell += column.width;
  }
}

void Fitter::add(const double* row, std::optional<double> target) {
  cells_.add({row, layout_.cells});
  if (target) {
    targets_.add(std::span(&*target, 1));
  } else if (layout_.targets > 0) {
    targets_.add({row + layout_.cells, layout_.targets});
  }
  for (Texts& texts : texts_) {
    if (texts.counts.empty()) continue;
    const double number = row[texts.cell];
    const std::size_t rest = texts.counts.size() - 2;
    ++texts.counts[std::isnan(number) ? rest + 1 : std::min(static_cast<std::size_t>(number), rest)];
  }
  if (!ascending_.empty()) {
    std::erase_if(ascending_, [&](std::uint32_t cell) {
      const double number = row[cell];
      return number != std::trunc(number) || (rows_ > 0 && !(number > last_[cell]));
    });
    if (!ascending_.empty()) last_.assign(row, row + layout_.cells);
  }
  ++rows_;
}

void Fitter::finish(Schema& schema) const {
  const bool run = schema.columns.size() == 1 && schema.columns[0].width > 1;
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    Column& column = schema.columns[i];
    const std::uint32_t cell = texts_[i].cell;
    if (column.kind == Kind::category) {
      finish_category(column, i);
      continue;
    }
    column.scaling = run ? cells_.common_scaling(options_.scale) : cells_.scaling(options_.scale, cell);
    if (run) continue;
    column.missing = cells_.missing(cell);
    if (!schema.input.missing.empty() || schema.input.format == "npy") column.fill = cells_.mean(cell);
  }
  // A target far from 0 and 1 trains badly whatever the features' scale is.
  if (schema.task == Task::regression && options_.scale != Scale::none) {
    for (std::size_t i = 0; i < schema.targets.size(); ++i) {
      schema.targets[i].scaling = targets_.scaling(Scale::standard, i);
    }
  }
}

// The most frequent texts are kept, equally frequent ones by their bytes; kept ones stand by bytes.
void Fitter::finish_category(Column& column, std::size_t at) const {
  const std::vector<std::string>& texts = dictionaries_[at].texts();
  const std::vector<std::uint64_t>& counts = texts_[at].counts;
  std::vector<std::uint32_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0U);
  std::erase_if(order, [&](std::uint32_t i) { return counts[i] == 0; });
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : texts[a] < texts[b];
  });
  column.missing = counts.back();
  column.other = order.size() > options_.max_categories || counts[texts.size()] > 0;
  if (order.size() > options_.max_categories) order.resize(options_.max_categories);
  for (const std::uint32_t i : order) column.categories.push_back(texts[i]);
  std::sort(column.categories.begin(), column.categories.end());
  if (order.empty()) return;
  const auto usual = std::find(column.categories.begin(), column.categories.end(), texts[order[0]]);
  column.usual = static_cast<std::uint32_t>(usual - column.categories.begin());
}

std::vector<std::string> Fitter::notes(const Schema& schema) const {
  std::map<std::string, std::vector<std::string>> useless;  // columns by what is wrong with them
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    const std::string what = why_useless(schema.columns[i], i);
    if (!what.empty()) useless[what].push_back(schema.columns[i].name);
  }
  std::vector<std::string> notes;
  for (const auto& [what, names] : useless) {
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ",") + name;
    notes.push_back(fmt::format("{}: {}; to leave {} out: --ignore {}", names.size() == 1 ? "a column holds" : "columns hold",
                                what, names.size() == 1 ? "it" : "them", list));
  }
  return notes;
}

std::string Fitter::why_useless(const Column& column, std::size_t at) const {
  const std::uint32_t cell = texts_[at].cell;
  if (column.width != 1 || rows_ < kFewRows) return "";
  if (column.missing == rows_) return "nothing in any training row";
  if (column.kind == Kind::number) {
    if (cells_.constant(cell)) return "the same number in all training rows";
    const bool ascends = std::find(ascending_.begin(), ascending_.end(), cell) != ascending_.end();
    return ascends ? "a larger whole number in every row, as row numbers are" : "";
  }
  const auto& counts = texts_[at].counts;
  const auto texts = static_cast<std::uint64_t>(
      std::count_if(counts.begin(), counts.end() - 2, [](std::uint64_t n) { return n > 0; }));
  if (texts == 1 && column.missing == 0) return "the same text in all training rows";
  const bool ids = dictionaries_[at].overflowed() || texts * 10 > rows_ * 9;
  return ids ? "another text in nearly every row" : "";
}

}  // namespace dl::data
