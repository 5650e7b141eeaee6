// SPDX-License-Identifier: MIT
#include "data/row_keys.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/distinct.h"
#include "data/key.h"

namespace dl::data {

RowKeys::RowKeys(const Schema& schema, std::span<const Dictionary> dictionaries)
    : known_(1U << 15, {std::numeric_limits<double>::quiet_NaN(), 0}) {
  std::uint32_t cell = 0;
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    if (schema.columns[i].kind == Kind::category) {
      Texts texts{cell, {}};
      for (const std::string& text : dictionaries[i].texts()) {
        texts.keys.push_back(static_cast<double>(key_of(text)));
      }
      texts.keys.push_back(-1);  // no text has this key
      texts_.push_back(std::move(texts));
    }
    cell += schema.columns[i].width;
  }
  row_.resize(cell);
}

double RowKeys::key_of_text(const Texts& texts, double number) {
  if (std::isnan(number)) return number;
  const auto at = static_cast<std::size_t>(number);
  return texts.keys[std::min(at, texts.keys.size() - 1)];
}

std::uint64_t RowKeys::of_row(const double* cells) {
  std::copy_n(cells, row_.size(), row_.begin());
  for (const Texts& texts : texts_) row_[texts.cell] = key_of_text(texts, row_[texts.cell]);
  return key_of_row(row_);
}

std::uint64_t RowKeys::of_cell(const double* cells, std::uint32_t cell) {
  for (const Texts& texts : texts_) {
    if (texts.cell == cell) return static_cast<std::uint64_t>(key_of_text(texts, cells[cell]));
  }
  const double number = cells[cell];
  Known& known = known_[hash_of({&number, 1}) % known_.size()];
  if (known.number != number) known = {number, key_of(number)};
  return known.key;
}

std::vector<KeyColumn> key_columns(const Schema& schema) {
  std::vector<KeyColumn> columns;
  std::uint32_t cell = 0;
  for (const Column& column : schema.columns) {
    if (column.width == 1 && names_a_key(column.name) && schema.columns.size() > 1) {
      const double end = column.kind == Kind::category ? double{Dictionary::kMost} : kLargestKeyNumber;
      columns.push_back({column.name, cell, end});
    }
    cell += column.width;
  }
  return columns;
}

TurnedKey::TurnedKey(Schema& schema, std::vector<Dictionary>& dictionaries, std::uint32_t column)
    : keys_(schema, dictionaries), cell_(column) {
  schema.key = PlainColumn{schema.columns[column].name, schema.columns[column].index};
  schema.columns.erase(schema.columns.begin() + column);
  dictionaries.erase(dictionaries.begin() + column);
  row_.resize(RowLayout::of(schema).width());
}

const double* TurnedKey::turn(const double* row) {
  const double* const behind = row + row_.size();
  const auto to = std::copy(row, row + cell_, row_.begin());
  std::copy(row + cell_ + 1, behind, to);
  row_.back() = static_cast<double>(keys_.of_cell(row, cell_));
  return row_.data();
}

}  // namespace dl::data
