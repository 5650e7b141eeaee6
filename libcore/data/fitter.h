// SPDX-License-Identifier: MIT
// From the rows of the training part to what a schema keeps of them: scalings, fills, categories.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dictionary.h"
#include "data/row_source.h"
#include "data/schema.h"
#include "data/statistics.h"

namespace dl::data {

struct FitOptions {
  Scale scale = Scale::standard;
  std::uint32_t max_categories = 64;  // of a column; the rarer ones are 'other'
};

class Fitter {
 public:
  // The schema's columns are those of the rows; `dictionaries` by column.
  Fitter(const Schema& schema, std::span<const Dictionary> dictionaries, const FitOptions& options);

  // A row as the reader gives it (row_source.h), and the number to predict where there is just one.
  void add(const double* row, std::optional<double> target);
  // Fills in the columns and, for regression, the targets' scalings.
  void finish(Schema& schema) const;
  // What people may want to know: columns that hold nothing to learn from, as sentences.
  std::vector<std::string> notes(const Schema& schema) const;

 private:
  std::string why_useless(const Column& column, std::size_t at) const;
  void finish_category(Column& column, std::size_t at) const;

  FitOptions options_;
  RowLayout layout_;
  std::span<const Dictionary> dictionaries_;
  Statistics cells_, targets_;
  struct Texts {
    std::uint32_t cell = 0;
    std::vector<std::uint64_t> counts;  // by number; then the rest, then missing ones
  };
  std::vector<Texts> texts_;  // by column; no counts: a number
  std::vector<std::uint32_t> ascending_;  // number columns whose whole numbers have only grown so far
  std::vector<double> last_;
  std::uint64_t rows_ = 0;
};

}  // namespace dl::data
