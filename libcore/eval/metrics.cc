// SPDX-License-Identifier: MIT
#include "eval/metrics.h"

namespace dl::eval {

namespace {

double share(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

}  // namespace

std::uint64_t Confusion::count(std::uint32_t wanted, std::uint32_t predicted) const {
  const auto at = counts_.find({wanted, predicted});
  return at == counts_.end() ? 0 : at->second;
}

std::vector<ClassMetrics> class_metrics(const Confusion& confusion) {
  std::vector<ClassMetrics> metrics(confusion.classes());
  for (const auto& [pair, rows] : confusion.counts()) {
    metrics[pair.first].rows += rows;
    metrics[pair.second].predicted += rows;
  }
  for (std::uint32_t c = 0; c < confusion.classes(); ++c) {
    ClassMetrics& m = metrics[c];
    const std::uint64_t found = confusion.count(c, c);
    m.precision = share(found, m.predicted);
    m.recall = share(found, m.rows);
    m.f1 = share(2 * found, m.predicted + m.rows);
  }
  return metrics;
}

ClassMetrics macro_average(const std::vector<ClassMetrics>& metrics) {
  ClassMetrics mean;
  unsigned seen = 0;
  for (const ClassMetrics& m : metrics) {
    if (m.rows + m.predicted == 0) continue;
    ++seen;
    mean.precision += m.precision;
    mean.recall += m.recall;
    mean.f1 += m.f1;
    mean.rows += m.rows;
    mean.predicted += m.predicted;
  }
  if (seen == 0) return mean;
  mean.precision /= seen;
  mean.recall /= seen;
  mean.f1 /= seen;
  return mean;
}

}  // namespace dl::eval
