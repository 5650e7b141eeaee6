// SPDX-License-Identifier: MIT
#include "data/encoder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "data/decoder.h"
#include "data/fixtures.h"
#include "data/fitter.h"

using namespace dl;
using namespace dl::data;

namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

Column category(const std::string& name, std::uint32_t index, std::vector<std::string> texts, bool other) {
  Column column;
  column.name = name;
  column.index = index;
  column.kind = Kind::category;
  column.categories = std::move(texts);
  column.other = other;
  return column;
}

// age (number, fill 40, indicator), colour (blue, red, other; usually red), size (number)
Schema people() {
  Schema schema;
  schema.input.columns = 4;
  schema.columns = {test::number_column("age", 0, {40, 0.1}), category("colour", 1, {"blue", "red"}, true),
                    test::number_column("size", 2, {0, 2})};
  schema.columns[0].fill = 40;
  schema.columns[0].indicator = true;
  schema.columns[1].usual = 1;
  schema.targets = {{"kind", 3, {"a", "b"}, {}}};
  return schema;
}

std::vector<float> encoded(const Schema& schema, std::span<const Dictionary> dictionaries,
                           std::vector<double> cells) {
  const Encoder encoder(schema, dictionaries);
  std::vector<float> out(encoder.features());
  CHECK(encoder.encode(cells.data(), out.data()));
  return out;
}

using Floats = std::vector<float>;

}  // namespace

TEST_CASE("encoder: numbers are scaled, categories one of a few, missing cells filled and told") {
  const Schema schema = people();
  std::vector<Dictionary> texts(3);
  for (const char* text : {"red", "green", "blue"}) texts[1].number_of(text);  // 0, 1, 2
  CHECK(Encoder(schema, texts).features() == schema.features());
  CHECK(encoded(schema, texts, {50, 0, 3}) == Floats{1, 0, 0, 1, 0, 6});
  CHECK(encoded(schema, texts, {50, 2, 3}) == Floats{1, 0, 1, 0, 0, 6});
  CHECK(encoded(schema, texts, {50, 1, 3}) == Floats{1, 0, 0, 0, 1, 6});
  CHECK(encoded(schema, texts, {50, Dictionary::kRest, 3}) == Floats{1, 0, 0, 0, 1, 6});
  CHECK(encoded(schema, texts, {kMissing, kMissing, 3}) == Floats{0, 1, 0, 1, 0, 6});
}

TEST_CASE("encoder: without 'other', an unknown text leaves all features of its column 0") {
  Schema schema = people();
  schema.columns[1].other = false;
  schema.columns[1].usual.reset();
  std::vector<Dictionary> texts;
  for (const Column& column : schema.columns) texts.emplace_back(column.categories);
  CHECK(encoded(schema, texts, {50, 1, 3}) == Floats{1, 0, 0, 1, 6});
  CHECK(encoded(schema, texts, {50, Dictionary::kRest, 3}) == Floats{1, 0, 0, 0, 6});
  CHECK(encoded(schema, texts, {50, kMissing, 3}) == Floats{1, 0, 0, 0, 6});
}

TEST_CASE("encoder: what is not finite is told: beyond float32, or missing without a fill") {
  const Schema schema = people();
  const std::vector<Dictionary> texts(3);
  const Encoder encoder(schema, texts);
  Floats out(encoder.features());
  const std::vector<double> large = {1e38, 0, 3e38};
  CHECK_FALSE(encoder.encode(large.data(), out.data()));
  const std::vector<double> nothing = {1, 0, kMissing};
  CHECK_FALSE(encoder.encode(nothing.data(), out.data()));
}

TEST_CASE("decoder: cells come back as they were read") {
  const Schema schema = people();
  std::vector<Dictionary> texts(3);
  texts[1] = Dictionary({"blue", "red"});
  const auto back = [&](std::vector<double> cells) { return decode_cells(schema, encoded(schema, texts, cells)); };
  using Texts = std::vector<std::string>;
  CHECK(back({39, 0, -0.125}) == Texts{"39", "blue", "-0.125"});
  CHECK(back({1e-3, 1, 12345.75}) == Texts{"0.001", "red", "12345.75"});
  CHECK(back({kMissing, Dictionary::kRest, 0}) == Texts{"", "other", "0"});
}

TEST_CASE("decoder: the shortest text within a float32's rounding, whatever the scale") {
  const auto back = [](double x, Scaling scaling) { return decode_number(scaling.apply(x), scaling); };
  CHECK(back(0, {3.2e-7, 0.01}) == "0");
  CHECK(back(1000003.5, {1e6, 0.25}) == "1000003.5");
  CHECK(back(0.1, {0, 1}) == "0.1");
  CHECK(back(-2.5e-14, {0, 1e13}) == "-2.5e-14");
  CHECK(back(3e20, {0, 1e-20}) == "3e+20");
}

TEST_CASE("fitter: means and categories are those of the rows that it saw, missing ones aside") {
  Schema schema = people();
  schema.input.missing = {"?"};
  schema.columns[1].categories.clear();
  schema.columns[1].other = false;
  schema.columns[1].usual.reset();
  std::vector<Dictionary> texts(3);
  for (const char* text : {"red", "green", "blue", "never"}) texts[1].number_of(text);
  FitOptions options;
  options.max_categories = 2;
  Fitter fitter(schema, texts, options);
  for (const std::vector<double>& row : std::vector<std::vector<double>>{
           {1, 0, 5}, {3, 2, 5}, {kMissing, 2, 5}, {5, kMissing, 5}, {3, 0, 5}, {3, 1, 5}}) {
    fitter.add(row.data(), std::nullopt);
  }
  fitter.finish(schema);
  CHECK(schema.columns[0].fill == 3);
  CHECK(schema.columns[0].missing == 1);
  CHECK(schema.columns[0].scaling.shift == 3);
  CHECK(schema.columns[0].scaling.scale == doctest::Approx(1 / std::sqrt(8.0 / 5)));
  CHECK(schema.columns[1].categories == std::vector<std::string>{"blue", "red"});
  CHECK(schema.columns[1].other);          // green
  CHECK(schema.columns[1].usual == 0);     // blue: as frequent as red, and first by its bytes
  CHECK(schema.columns[1].missing == 1);
  CHECK(schema.columns[2].scaling == Scaling{5, 1});
}

TEST_CASE("fitter: columns that hold nothing to learn from are named") {
  Schema schema = people();
  std::vector<Dictionary> texts(3);
  Fitter fitter(schema, texts, {});
  CHECK(fitter.notes(schema).empty());
  for (int i = 0; i < 30; ++i) {
    texts[1].number_of("name" + std::to_string(i));
  }
  Fitter more(schema, texts, {});
  for (int i = 0; i < 30; ++i) {
    const std::vector<double> row = {10.0 + i, static_cast<double>(i), 7};
    more.add(row.data(), std::nullopt);
  }
  std::string all;
  for (const std::string& note : more.notes(schema)) all += note + "\n";
  CHECK(test::contains(all, "a larger whole number in every row, as row numbers are; to leave it out: --ignore age"));
  CHECK(test::contains(all, "another text in nearly every row; to leave it out: --ignore colour"));
  CHECK(test::contains(all, "the same number in all training rows; to leave it out: --ignore size"));
}
