// SPDX-License-Identifier: MIT
// Which classes a classifier takes for which: counts of rows, and the figures that follow from them.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace dl::eval {

// Rows by the class that was wanted and the one that was predicted; memory for pairs that occur.
class Confusion {
 public:
  explicit Confusion(std::uint32_t classes) : classes_(classes) {}

  void add(std::uint32_t wanted, std::uint32_t predicted) { ++counts_[{wanted, predicted}]; }
  std::uint64_t count(std::uint32_t wanted, std::uint32_t predicted) const;
  std::uint32_t classes() const { return classes_; }
  const std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t>& counts() const {
    return counts_;
  }

 private:
  std::uint32_t classes_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> counts_;
};

// Of one class. Each share is 0 where nothing could be shared: precision where the class was never
// predicted, recall where it was never wanted, f1 where both are 0.
struct ClassMetrics {
  double precision = 0;  // of the rows predicted as it, those that are
  double recall = 0;     // of the rows that are it, those found
  double f1 = 0;         // their harmonic mean
  std::uint64_t rows = 0;       // that are it
  std::uint64_t predicted = 0;  // predicted as it
};

std::vector<ClassMetrics> class_metrics(const Confusion& confusion);

// The plain mean over the classes that were wanted or predicted at least once; rows and predicted
// are sums.
ClassMetrics macro_average(const std::vector<ClassMetrics>& metrics);

}  // namespace dl::eval
