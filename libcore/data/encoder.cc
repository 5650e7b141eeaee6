// SPDX-License-Identifier: MIT
#include "data/encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace dl::data {

Encoder::Encoder(const Schema& schema, std::span<const Dictionary> dictionaries) {
  std::uint32_t cell = 0;
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    const Column& column = schema.columns[i];
    shifts_.insert(shifts_.end(), column.width, column.scaling.shift);
    scales_.insert(scales_.end(), column.width, column.scaling.scale);
    fills_.insert(fills_.end(), column.width,
                  column.fill.value_or(std::numeric_limits<double>::quiet_NaN()));
    if (column.kind == Kind::number) {
      const bool joins = !numbers_.empty() && numbers_.back().from + numbers_.back().count == cell &&
                         numbers_.back().to + numbers_.back().count == features_;
      if (!joins) numbers_.push_back({cell, features_, 0});
      numbers_.back().count += column.width;
    } else {
      Category category{cell, features_, column.features() - column.indicator, {}, 0, 0};
      const auto kept = static_cast<std::uint32_t>(column.categories.size());
      category.rest = kept;  // `other`, or nothing at all
      category.usual = column.usual.value_or(category.count);
      Dictionary known(column.categories);
      for (const std::string& text : dictionaries[i].texts()) {
        category.place.push_back(std::min(known.number_of(text), kept));
      }
      categories_.push_back(std::move(category));
    }
    features_ += column.features();
    if (column.indicator) indicators_.push_back({cell, features_ - 1});
    cell += column.width;
  }
}

bool Encoder::encode(const double* cells, float* features) const {
  constexpr std::uint32_t kExponent = 0x7f800000;  // all ones: infinite or NaN
  std::uint32_t wild = 0;
  for (const Numbers& run : numbers_) {
    const double* const in = cells + run.from;
    const double* const shifts = shifts_.data() + run.from;
    const double* const scales = scales_.data() + run.from;
    const double* const fills = fills_.data() + run.from;
    float* const out = features + run.to;
#pragma GCC ivdep
    for (std::uint32_t i = 0; i < run.count; ++i) {
      const double x = in[i] == in[i] ? in[i] : fills[i];
      out[i] = Scaling{shifts[i], scales[i]}.apply(x);
      wild |= (std::bit_cast<std::uint32_t>(out[i]) & kExponent) == kExponent;
    }
  }
  for (const Category& category : categories_) {
    float* const out = features + category.to;
    std::fill_n(out, category.count, 0.0F);
    const double cell = cells[category.from];
    std::uint32_t place = category.usual;
    if (!std::isnan(cell)) {
      const auto number = static_cast<std::uint32_t>(cell);
      place = number < category.place.size() ? category.place[number] : category.rest;
    }
    if (place < category.count) out[place] = 1;
  }
  for (const Indicator& indicator : indicators_) {
    features[indicator.to] = std::isnan(cells[indicator.from]) ? 1.0F : 0.0F;
  }
  return wild == 0;
}

}  // namespace dl::data
