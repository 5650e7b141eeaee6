// SPDX-License-Identifier: MIT
#include "eval/metrics.h"

#include <doctest/doctest.h>

using namespace dl::eval;

namespace {

Confusion matrix(const std::vector<std::vector<unsigned>>& counts) {
  Confusion confusion(static_cast<std::uint32_t>(counts.size()));
  for (std::uint32_t wanted = 0; wanted < counts.size(); ++wanted) {
    for (std::uint32_t predicted = 0; predicted < counts.size(); ++predicted) {
      for (unsigned i = 0; i < counts[wanted][predicted]; ++i) confusion.add(wanted, predicted);
    }
  }
  return confusion;
}

}  // namespace

TEST_CASE("metrics: precision, recall and F1 of a matrix reckoned by hand") {
  const auto m = class_metrics(matrix({{5, 1, 0}, {2, 3, 1}, {1, 0, 7}}));
  CHECK(m[0].precision == doctest::Approx(5.0 / 8));
  CHECK(m[0].recall == doctest::Approx(5.0 / 6));
  CHECK(m[0].f1 == doctest::Approx(2 * (5.0 / 8) * (5.0 / 6) / (5.0 / 8 + 5.0 / 6)));
  CHECK(m[1].precision == doctest::Approx(3.0 / 4));
  CHECK(m[1].recall == doctest::Approx(3.0 / 6));
  CHECK(m[2].precision == doctest::Approx(7.0 / 8));
  CHECK(m[2].recall == doctest::Approx(7.0 / 8));
  CHECK(m[2].rows == 8);
  CHECK(m[0].predicted == 8);
  const ClassMetrics mean = macro_average(m);
  CHECK(mean.precision == doctest::Approx((5.0 / 8 + 3.0 / 4 + 7.0 / 8) / 3));
  CHECK(mean.recall == doctest::Approx((5.0 / 6 + 3.0 / 6 + 7.0 / 8) / 3));
  CHECK(mean.rows == 20);
}

TEST_CASE("metrics: a class never predicted or never wanted has 0, not NaN") {
  const auto m = class_metrics(matrix({{0, 2, 0}, {0, 3, 0}, {0, 0, 0}}));
  CHECK(m[0].precision == 0);
  CHECK(m[0].recall == 0);
  CHECK(m[0].f1 == 0);
  CHECK(m[2].f1 == 0);
  // The class that does not occur is no part of the mean.
  CHECK(macro_average(m).recall == doctest::Approx(0.5));
  CHECK(macro_average(class_metrics(Confusion(4))).f1 == 0);
}

TEST_CASE("metrics: 65536 classes cost memory for the pairs that occur only") {
  Confusion confusion(65536);
  confusion.add(65535, 0);
  CHECK(confusion.count(65535, 0) == 1);
  CHECK(confusion.count(0, 65535) == 0);
  CHECK(confusion.counts().size() == 1);
}
