// SPDX-License-Identifier: MIT
// What raw rows look like and how they become features and a target: fitted once by dl-shard on the
// training part, carried by the manifest and by every checkpoint, so that raw rows can be predicted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace dl::data {

enum class Task { classification, regression };

// x becomes float32((x - shift) * scale): a subtraction and a product in double, rounded once.
struct Scaling {
  double shift = 0;
  double scale = 1;
  float apply(double x) const { return static_cast<float>((x - shift) * scale); }
  bool operator==(const Scaling&) const = default;
};

// How raw rows are written.
struct Input {
  std::string format = "csv";        // "csv" (any separator), "libsvm", "idx" or "npy"
  char separator = ',';              // csv
  bool header = false;               // csv: the first row of a file names the columns
  // csv, npy with the target in a column: cells of a row, target and all; libsvm: features
  std::uint32_t columns = 0;
  std::vector<std::uint32_t> shape;  // idx, npy with the target in another file: one sample: {28, 28}
  std::vector<std::string> missing{};  // csv: texts of a cell that holds nothing: "?", "NA", ""
  std::uint32_t first = 1;             // libsvm: the index of the first feature, 0 or 1
  bool operator==(const Input&) const = default;
};

enum class Kind { number, category };

// One input column, or a run of columns that share name and scaling (the pixels of an image).
//
// A number gives one feature for each of its cells. A category gives one feature for each of its
// categories, 1 where the cell holds it and 0 elsewhere, and with `other` one more for all texts that
// are no category; without `other`, such a text leaves all of them 0. An indicator is one more
// feature behind them: 1 where the cell was missing, else 0.
struct Column {
  std::string name;         // from the header, or the column's number
  std::uint32_t index = 0;  // its (first) place in a raw row, from 0
  std::uint32_t width = 1;  // cells
  Kind kind = Kind::number;
  Scaling scaling;                      // number
  std::optional<double> fill{};         // number: what a missing cell counts as; unset: it is refused
  std::vector<std::string> categories{};  // category: in feature order
  bool other = false;                   // category
  std::optional<std::uint32_t> usual{};   // category: which one a missing cell counts as
  bool indicator = false;
  std::uint64_t missing = 0;  // missing cells in the training part, for people to know

  std::uint32_t features() const {
    const auto own = kind == Kind::number ? std::size_t{width} : categories.size() + other;
    return static_cast<std::uint32_t>(own + indicator);
  }
  bool operator==(const Column&) const = default;
};

struct Target {
  std::string name;                  // from the header, or the column's number
  std::uint32_t index = 0;           // csv: its place in a raw row, from 0
  std::vector<std::string> classes;  // in code order: numbers by value, words by bytes; regression: empty
  Scaling scaling;                   // regression
  bool operator==(const Target&) const = default;
};

// A column that is no feature.
struct PlainColumn {
  std::string name;
  std::uint32_t index = 0;
  bool operator==(const PlainColumn&) const = default;
};

struct Schema {
  Task task = Task::classification;
  Input input;
  std::vector<Column> columns;  // in feature order
  std::vector<Target> targets = std::vector<Target>(1);  // several: numbers, all of them predicted
  std::optional<PlainColumn> weight;  // what a sample weighs in loss and averages
  std::optional<PlainColumn> key;     // what rows that belong together share (--by hash)
  std::vector<PlainColumn> ignored;

  std::uint32_t features() const;  // float32 numbers of a row
  std::uint32_t outputs() const;   // classes, or numbers to predict
  const Target& target() const { return targets.front(); }
  std::string target_name() const;  // "price", or "x, y" where there are several
  const std::string& class_name(std::uint32_t code) const;  // 70 where there is no such code
  // Classes that are all numbers are compared by value ("1.0" is class "1"), words by their bytes.
  std::optional<std::uint32_t> find_class(std::string_view text) const;
  std::uint32_t class_code(std::string_view text) const;  // 65 where there is no such class
  float scale_target(double number, std::uint32_t output = 0) const {
    return targets[output].scaling.apply(number);
  }
  // The target's own units again: value / scale + shift, in double.
  double unscale_target(float value, std::uint32_t output = 0) const {
    const Scaling& scaling = targets[output].scaling;
    return static_cast<double>(value) / scaling.scale + scaling.shift;
  }
  std::vector<Scaling> scalings() const;                // one per feature; of 0 and 1, none
  std::string feature_name(std::uint32_t feature) const;  // "age", "pixel 12", "colour=red"

  // As dl-manifest(5) says. from_json refuses (65) what is missing, unknown or out of range.
  Json to_json() const;
  static Schema from_json(const Json& json, const std::string& what);
  bool operator==(const Schema&) const = default;
};

inline constexpr std::uint32_t kMostFeatures = 1U << 24;
inline constexpr std::uint32_t kMostClasses = 1U << 16;
inline constexpr std::size_t kMostTargetColumns = 4096;

// The number that a whole text is, blanks around it aside; nullopt for words, NaN and infinity.
std::optional<double> parse_number(std::string_view text);

}  // namespace dl::data
