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
// Rows are added in order, in double: the same bits whenever the rows are the same.
class Statistics {
 public:
  explicit Statistics(std::size_t columns);
  void add(std::span<const double> row);

  // none: x stays. minmax: [least, largest] becomes [0, 1]. standard: mean 0, (population) standard
  // deviation 1. A constant column is left at scale 1.
  Scaling scaling(Scale scale, std::size_t column) const;
  // One scaling for the values of all columns together (the pixels of an image).
  Scaling common_scaling(Scale scale) const;

 private:
  Scaling make(Scale scale, double mean, double squares, double count, double least,
               double largest) const;

  std::uint64_t rows_ = 0;
  std::vector<double> mean_, squares_, least_, largest_;
};

}  // namespace dl::data
