// SPDX-License-Identifier: MIT
// Means, deviations and ranges of columns, in one pass.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/schema.h"

namespace dl::data {

enum class Scale { none, minmax, standard };

// Column by column: mean and sum of squared deviations by Welford's recurrence ("Note on a method for
// calculating corrected sums of squares and products", Technometrics 4, 1962), least and largest.
// Rows are added in order, in double: the same bits whenever the rows are the same. NaN is a missing
// number, which does not count.
class Statistics {
 public:
  explicit Statistics(std::size_t columns);
  void add(std::span<const double> row);

  double mean(std::size_t column) const { return mean_[column]; }  // 0 where there is no number
  double deviation(std::size_t column) const;                      // of the population
  std::uint64_t missing(std::size_t column) const { return rows_ - count(column); }
  bool constant(std::size_t column) const { return !(least_[column] < largest_[column]); }
  // none: x stays. minmax: [least, largest] becomes [0, 1]. standard: mean 0, (population) standard
  // deviation 1. A constant column is left at scale 1.
  Scaling scaling(Scale scale, std::size_t column) const;
  // One scaling for the values of all columns together (the pixels of an image).
  Scaling common_scaling(Scale scale) const;

 private:
  Scaling make(Scale scale, double mean, double squares, double count, double least,
               double largest) const;

  void add_present(std::span<const double> row);
  std::uint64_t count(std::size_t column) const { return counts_.empty() ? rows_ : counts_[column]; }

  std::uint64_t rows_ = 0;
  std::vector<std::uint64_t> counts_;  // numbers of each column; empty until one is missing
  std::vector<double> mean_, squares_, least_, largest_;
};

}  // namespace dl::data
