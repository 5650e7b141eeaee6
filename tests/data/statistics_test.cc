// SPDX-License-Identifier: MIT
#include "data/statistics.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/rng.h"
#include "data/spill.h"
#include "data/fixtures.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

TEST_CASE("statistics: means, deviations and ranges as two passes in long double give them") {
  Rng rng(1, Purpose::test);
  std::vector<std::vector<double>> rows;
  Statistics statistics(3);
  for (int i = 0; i < 5000; ++i) {
    rows.push_back({rng.uniform_double(), 1e9 + rng.uniform_double(), -3 * rng.uniform_double()});
    statistics.add(rows.back());
  }
  for (std::size_t column = 0; column < 3; ++column) {
    long double mean = 0;
    long double squares = 0;
    double least = INFINITY;
    double largest = -INFINITY;
    for (const auto& row : rows) mean += row[column] / 5000.0L;
    for (const auto& row : rows) {
      squares += (row[column] - mean) * (row[column] - mean);
      least = std::min(least, row[column]);
      largest = std::max(largest, row[column]);
    }
    const Scaling standard = statistics.scaling(Scale::standard, column);
    CHECK(standard.shift == doctest::Approx(static_cast<double>(mean)).epsilon(1e-14));
    CHECK(standard.scale ==
          doctest::Approx(static_cast<double>(1 / std::sqrt(squares / 5000))).epsilon(1e-7));
    const Scaling minmax = statistics.scaling(Scale::minmax, column);
    CHECK(minmax.shift == least);
    CHECK(minmax.apply(least) == 0.0F);
    CHECK(minmax.apply(largest) == 1.0F);
    CHECK(statistics.scaling(Scale::none, column) == Scaling{0, 1});
  }
}

TEST_CASE("statistics: a constant column keeps scale 1 and becomes 0; one row is constant") {
  Statistics statistics(2);
  for (int i = 0; i < 3; ++i) statistics.add(std::vector<double>{0.1, static_cast<double>(i)});
  CHECK(statistics.scaling(Scale::standard, 0) == Scaling{0.1, 1});
  CHECK(statistics.scaling(Scale::minmax, 0) == Scaling{0.1, 1});
  CHECK(statistics.scaling(Scale::standard, 0).apply(0.1) == 0.0F);
  Statistics denormal(1);
  denormal.add(std::vector<double>{0});
  denormal.add(std::vector<double>{5e-324});
  CHECK(denormal.scaling(Scale::minmax, 0).scale == 1);
}

TEST_CASE("statistics: one scaling for all pixels is that of all their values") {
  Statistics apart(3);
  Statistics together(1);
  Rng rng(2, Purpose::test);
  for (int i = 0; i < 100; ++i) {
    std::vector<double> row;
    for (int k = 0; k < 3; ++k) row.push_back(rng.uniform_double() * (k + 1) + k);
    apart.add(row);
    for (const double x : row) together.add(std::span(&x, 1));
  }
  const Scaling all = apart.common_scaling(Scale::standard);
  const Scaling wanted = together.scaling(Scale::standard, 0);
  CHECK(all.shift == doctest::Approx(wanted.shift).epsilon(1e-13));
  CHECK(all.scale == doctest::Approx(wanted.scale).epsilon(1e-13));
  CHECK(apart.common_scaling(Scale::minmax) == together.scaling(Scale::minmax, 0));
}

TEST_CASE("spill: rows come back as they went in, from memory and from disk") {
  const test::Scratch dir;
  constexpr std::uint32_t kWidth = 1000;
  // 8 MB of bytes, 32 MB of floats and 64 MB of doubles: more than stays in memory.
  constexpr std::uint64_t kRows = 24000;
  const auto value = [](std::uint64_t row, std::uint32_t k) {
    const auto x = static_cast<double>((row * 31 + k) % 251);
    return row < 8000 ? x : row < 16000 ? x - 0.5 : x / 3;
  };
  Spill spill(dir.path(), kWidth);
  for (std::uint64_t i = 0; i < kRows; ++i) {
    double* const to = spill.row();
    for (std::uint32_t k = 0; k < kWidth; ++k) to[k] = value(i, k);
    spill.end_row({static_cast<std::uint32_t>(i), static_cast<double>(i) / 7});
  }
  spill.finish();
  CHECK(spill.rows() == kRows);
  CHECK(fs::is_empty(dir.path()));  // the file has no name
  for (int pass = 0; pass < 2; ++pass) {
    std::uint64_t row = 0;
    bool good = true;
    spill.for_each([&](std::span<const double> values, std::span<const Label> labels) {
      good = good && values.size() == labels.size() * kWidth;
      for (std::size_t i = 0; good && i < labels.size(); ++i, ++row) {
        good = labels[i].id == row && labels[i].number == static_cast<double>(row) / 7;
        for (std::uint32_t k = 0; k < kWidth; ++k) good &= values[i * kWidth + k] == value(row, k);
      }
    });
    CHECK(good);
    CHECK(row == kRows);
  }
  CHECK(test::complaint_of([&] { Spill(dir / "missing", 1); }).code == Exit::cannot_create);
}
