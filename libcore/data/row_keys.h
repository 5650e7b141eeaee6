// SPDX-License-Identifier: MIT
// The keys (data/key.h) of rows whose text is gone: of one of their cells, or of the whole row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dictionary.h"
#include "data/row_source.h"
#include "data/schema.h"
#include "data/survey.h"

namespace dl::data {

// Rows are as a reader gives them (data/encoder.h). A category's cell has the key of its text, so that a
// cell's key is what the reader would have made of it. Texts that a dictionary had no room for are taken
// for one text.
class RowKeys {
 public:
  RowKeys(const Schema& schema, std::span<const Dictionary> dictionaries);

  std::uint64_t of_row(const double* cells);
  // The cell must hold a whole number below kLargestKeyNumber, or a text that the dictionary knows.
  std::uint64_t of_cell(const double* cells, std::uint32_t cell);

 private:
  struct Texts {
    std::uint32_t cell = 0;
    std::vector<double> keys;  // by number in the dictionary; the last one of all other texts
  };
  struct Known {
    double number = 0;
    std::uint64_t key = 0;
  };
  static double key_of_text(const Texts& texts, double number);

  std::vector<Texts> texts_;   // of each category
  std::vector<double> row_;    // with the texts' keys in place
  std::vector<Known> known_;   // numbers seen lately, by a few bits of their hash
};

// The columns of a table that may be keys by their names.
std::vector<KeyColumn> key_columns(const Schema& schema);

// Turns a table's column into its key: the schema has it as the key from now on, and each row loses the
// column's cell and gets its key behind, as if `--key` had named the column.
class TurnedKey {
 public:
  // `schema` and `dictionaries` are changed; it has another column still.
  TurnedKey(Schema& schema, std::vector<Dictionary>& dictionaries, std::uint32_t column);
  const double* turn(const double* row);  // as wide as before; valid until the next call

 private:
  RowKeys keys_;
  std::uint32_t cell_;
  std::vector<double> row_;
};

}  // namespace dl::data
