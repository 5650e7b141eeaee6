// SPDX-License-Identifier: MIT
#include "data/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dl::data {

Statistics::Statistics(std::size_t columns)
    : mean_(columns),
      squares_(columns),
      least_(columns, std::numeric_limits<double>::infinity()),
      largest_(columns, -std::numeric_limits<double>::infinity()) {}

void Statistics::add(std::span<const double> row) {
  const double* const x = row.data();
  unsigned missing = counts_.empty() ? 0 : 1;
  for (std::size_t i = 0; i < row.size(); ++i) missing |= x[i] != x[i];
  if (missing != 0) return add_present(row);
  const double share = 1.0 / static_cast<double>(++rows_);
  double* const mean = mean_.data();
  double* const squares = squares_.data();
  double* const least = least_.data();
  double* const largest = largest_.data();
  const std::size_t columns = mean_.size();
#pragma GCC ivdep
  for (std::size_t i = 0; i < columns; ++i) {
    const double before = x[i] - mean[i];
    mean[i] += before * share;
    squares[i] += before * (x[i] - mean[i]);
    least[i] = x[i] < least[i] ? x[i] : least[i];
    largest[i] = x[i] > largest[i] ? x[i] : largest[i];
  }
}

void Statistics::add_present(std::span<const double> row) {
  if (counts_.empty()) counts_.assign(row.size(), rows_);
  ++rows_;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::isnan(row[i])) continue;
    const double share = 1.0 / static_cast<double>(++counts_[i]);
    const double before = row[i] - mean_[i];
    mean_[i] += before * share;
    squares_[i] += before * (row[i] - mean_[i]);
    least_[i] = std::min(least_[i], row[i]);
    largest_[i] = std::max(largest_[i], row[i]);
  }
}

double Statistics::deviation(std::size_t column) const {
  return count(column) > 0 ? std::sqrt(squares_[column] / static_cast<double>(count(column))) : 0;
}

Scaling Statistics::make(Scale scale, double mean, double squares, double count, double least,
                         double largest) const {
  if (scale == Scale::none || count == 0) return {};
  if (!(least < largest)) return {least, 1};
  const double width = scale == Scale::minmax ? largest - least : std::sqrt(squares / count);
  const double factor = 1 / width;
  return {scale == Scale::minmax ? least : mean, std::isnormal(factor) ? factor : 1};
}

Scaling Statistics::scaling(Scale scale, std::size_t column) const {
  return make(scale, mean_[column], squares_[column], static_cast<double>(count(column)), least_[column],
              largest_[column]);
}

Scaling Statistics::common_scaling(Scale scale) const {
  const auto columns = static_cast<double>(mean_.size());
  const auto rows = static_cast<double>(rows_);
  double mean = 0;
  for (const double one : mean_) mean += one / columns;
  double squares = 0;
  for (std::size_t i = 0; i < mean_.size(); ++i) {
    squares += squares_[i] + rows * (mean_[i] - mean) * (mean_[i] - mean);
  }
  return make(scale, mean, squares, rows * columns, *std::min_element(least_.begin(), least_.end()),
              *std::max_element(largest_.begin(), largest_.end()));
}

}  // namespace dl::data
