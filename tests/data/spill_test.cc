// SPDX-License-Identifier: MIT
#include "data/spill.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

using Rows = std::vector<std::vector<double>>;

// The rows as they come back; `labels` gets the numbers of the labels.
Rows read(const Spill& spill, std::vector<double>* labels = nullptr) {
  Rows rows;
  spill.for_each([&](std::span<const double> values, std::span<const Label> run) {
    CHECK(values.size() == run.size() * spill.width());
    for (const Label& label : run) {
      rows.emplace_back(values.begin(), values.begin() + spill.width());
      values = values.subspan(spill.width());
      if (labels) labels->push_back(label.number);
    }
  });
  CHECK(rows.size() == spill.rows());
  return rows;
}

bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

bool same(const Rows& a, const Rows& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](double p, double q) { return same(p, q); });
  });
}

// Row i of a table whose chunks need bytes, floats or doubles, with a NaN now and then.
double value_at(std::uint32_t row, std::uint32_t column, int kind) {
  if (kind >= 3 && (row + column) % 97 == 0) return kNaN;
  switch (kind % 3) {
    case 0: return (row * 7 + column) % 256;
    case 1: return (row + column) * 0.25 - 3;
    default: return row * 0.1 + column;
  }
}

}  // namespace

TEST_CASE("spill: rows come back exactly, whatever their kind and wherever they rest") {
  const test::Scratch dir;
  for (const std::size_t memory : {std::size_t{0}, std::size_t{4} << 20, kUsualSpillMemory}) {
    for (int kind = 0; kind < 6; ++kind) {
      CAPTURE(memory);
      CAPTURE(kind);
      constexpr std::uint32_t kRows = 60000, kWidth = 17;
      Spill spill(dir.path(), kWidth, memory);
      Rows wanted;
      for (std::uint32_t row = 0; row < kRows; ++row) {
        auto& values = wanted.emplace_back();
        for (std::uint32_t i = 0; i < kWidth; ++i) values.push_back(value_at(row, i, kind));
        std::copy(values.begin(), values.end(), spill.row());
        spill.end_row({row, static_cast<double>(row)});
      }
      spill.finish();
      std::vector<double> labels;
      CHECK(same(read(spill, &labels), wanted));
      CHECK(std::is_sorted(labels.begin(), labels.end()));
      CHECK(same(read(spill), wanted));  // and a second time
    }
  }
}

TEST_CASE("spill: a missing value, an infinite one and a negative zero keep what they are") {
  const test::Scratch dir;
  const double inf = std::numeric_limits<double>::infinity();
  for (const Rows& wanted : {Rows{{1, kNaN}, {255, 0}}, Rows{{-0.0, 1}}, Rows{{inf, -inf}},
                             Rows{{kNaN, 0.1}}, Rows{{kNaN, 1e300}}, Rows{{256, 1}}, Rows{{kNaN, kNaN}}}) {
    for (const std::size_t memory : {std::size_t{0}, kUsualSpillMemory}) {
      Spill spill(dir.path(), 2, memory);
      for (const auto& row : wanted) {
        std::copy(row.begin(), row.end(), spill.row());
        spill.end_row({});
      }
      spill.finish();
      CHECK(same(read(spill), wanted));
    }
  }
}

TEST_CASE("spill: rows may grow, and narrower ones are padded with zeros") {
  const test::Scratch dir;
  for (const std::size_t memory : {std::size_t{0}, std::size_t{2} << 20, kUsualSpillMemory}) {
    for (int kind = 0; kind < 6; ++kind) {
      for (const std::uint32_t dropped : {0U, 1U}) {
        CAPTURE(memory);
        CAPTURE(kind);
        CAPTURE(dropped);
        constexpr std::uint32_t kRows = 3000, kWidest = 160;
        Spill spill(dir.path(), 1, memory);
        Rows wanted;
        for (std::uint32_t row = 0; row < kRows; ++row) {
          const std::uint32_t width = row < 1000 ? 1 + row / 500 : std::min(kWidest, row - 990);
          double* const to = spill.row(width);
          std::vector<double> values(kWidest);
          for (std::uint32_t i = 0; i < width; ++i) to[i] = values[i] = value_at(row, i, kind);
          wanted.emplace_back(values.begin() + dropped, values.end());
          spill.end_row({row, static_cast<double>(row)});
        }
        spill.finish(dropped);
        CHECK(spill.width() == kWidest - dropped);
        std::vector<double> labels;
        CHECK(same(read(spill, &labels), wanted));
        CHECK(labels.back() == kRows - 1);
      }
    }
  }
}

TEST_CASE("spill: one row may be larger than the memory, and there may be none") {
  const test::Scratch dir;
  Spill spill(dir.path(), 1, std::size_t{2} << 20);
  spill.row()[0] = 7;
  spill.end_row({});
  constexpr std::uint32_t kWide = 1U << 20;
  double* const wide = spill.row(kWide);
  std::fill(wide, wide + kWide, 0.1);
  spill.end_row({});
  spill.finish();
  const Rows rows = read(spill);
  CHECK(rows[0][0] == 7);
  CHECK(rows[0][kWide - 1] == 0);
  CHECK(rows[1][kWide - 1] == 0.1);
  Spill none(dir.path(), 3);
  none.finish();
  CHECK(read(none).empty());
}
