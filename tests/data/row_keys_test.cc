// SPDX-License-Identifier: MIT
#include "data/row_keys.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "data/key.h"

using namespace dl;
using namespace dl::data;

namespace {

// A number, a category with the texts "7", "red", "x", a number.
Schema three_columns() {
  Schema schema;
  schema.columns.resize(3);
  for (std::uint32_t i = 0; i < 3; ++i) {
    schema.columns[i].name = std::string(1, static_cast<char>('a' + i));
    schema.columns[i].index = i;
  }
  schema.columns[1].name = "user";
  schema.columns[1].kind = Kind::category;
  schema.columns[2].name = "id";
  schema.targets[0].index = 3;
  return schema;
}

std::vector<Dictionary> dictionaries() {
  std::vector<Dictionary> all(3);
  for (const char* const text : {"7", "red", "x"}) all[1].number_of(text);
  return all;
}

}  // namespace

TEST_CASE("row keys: a cell has the key of its text") {
  const auto words = dictionaries();
  RowKeys keys(three_columns(), words);
  const double row[] = {1, 1, -0.0};
  CHECK(keys.of_cell(row, 0) == key_of("1.0"));
  CHECK(keys.of_cell(row, 1) == key_of("red"));
  CHECK(keys.of_cell(row, 2) == key_of("0"));
  const double seven[] = {7, 0, 7};
  CHECK(keys.of_cell(seven, 0) == keys.of_cell(seven, 1));
  Rng rng(81, Purpose::test);
  for (int i = 0; i < 200000; ++i) {  // more than are remembered
    const double any[] = {static_cast<double>(rng.below(100000)) - 50000, 0, 0};
    REQUIRE(keys.of_cell(any, 0) == key_of(any[0]));
  }
}

TEST_CASE("row keys: equal rows have one key, whatever the number of a text in its dictionary") {
  const auto words = dictionaries();
  std::vector<Dictionary> others(3);
  for (const char* const text : {"new", "x", "red"}) others[1].number_of(text);
  RowKeys keys(three_columns(), words);
  RowKeys again(three_columns(), others);
  const double red[] = {1.5, 1, 2};
  const double red_again[] = {1.5, 2, 2};
  const double x[] = {1.5, 2, 2};
  CHECK(keys.of_row(red) == again.of_row(red_again));
  CHECK(keys.of_row(red) != keys.of_row(x));
  CHECK(keys.of_row(red) == key_of_row(std::vector<double>{1.5, static_cast<double>(key_of("red")), 2}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double unknown[] = {1.5, Dictionary::kRest, 2};
  const double missing[] = {1.5, nan, 2};
  CHECK(keys.of_row(missing) == again.of_row(missing));
  CHECK(keys.of_row(missing) != keys.of_row(unknown));
  CHECK(keys.of_row(missing) != keys.of_row(red));
}

TEST_CASE("row keys: a column that is turned into the key leaves the rows") {
  const Schema before = three_columns();
  const auto candidates = key_columns(before);
  REQUIRE(candidates.size() == 2);
  CHECK(candidates[0].name == "user");
  CHECK(candidates[0].end == Dictionary::kMost);
  CHECK(candidates[1].cell == 2);
  CHECK(candidates[1].end == kLargestKeyNumber);
  for (std::uint32_t column = 0; column < 3; ++column) {
    Schema schema = before;
    auto words = dictionaries();
    TurnedKey turned(schema, words, column);
    CHECK(schema.columns.size() == 2);
    CHECK(words.size() == 2);
    REQUIRE(schema.key);
    CHECK(schema.key->index == column);
    const double row[] = {11, 2, 33};
    const double* const got = turned.turn(row);
    std::vector<double> wanted(row, row + 3);
    wanted.erase(wanted.begin() + column);
    wanted.push_back(static_cast<double>(column == 1 ? key_of("x") : key_of(row[column])));
    CHECK(std::vector<double>(got, got + 3) == wanted);
  }
}
