// SPDX-License-Identifier: MIT
// Samples of arrays (IDX and NPY): images with labels in a file of their own, or a table whose label is
// one of its columns.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/array_file.h"
#include "data/input_files.h"
#include "data/row_source.h"

namespace dl::data {

// Reads files one after the other, whose samples must all have the same shape (65), and the labels of one
// file beside them. Samples are numbered from 0 in each file.
class ArrayReader : public RowSource {
 public:
  // `labels` empty: they stand in a column, or there are none.
  ArrayReader(InputFiles files, const std::string& labels);

  const char* format() const { return array_->format(); }  // of the open file: "idx" or "npy"
  const std::string& file() const { return array_->source().name(); }
  const std::vector<std::uint32_t>& shape() const { return array_->shape(); }
  std::uint32_t columns() const { return array_->values(); }  // values of a sample
  // The column that `text` numbers from 0, or (negative) from the end; 65 where there is none.
  std::uint32_t find_column(const std::string& text) const;
  // That column is the label, and no number of a sample any more.
  void take_label(std::uint32_t column);
  void allow_missing();  // NaN is a missing number; otherwise it is refused

  std::uint32_t width() override { return width_; }
  bool next(double* values, std::string_view& label) override;
  std::string place() const override;
  std::string label_place() const override;
  std::uint64_t packed_bytes() const override;

 private:
  bool next_sample(double* values);
  void set_label(double value, std::string_view& label);

  InputFiles files_;
  std::size_t file_ = 0;
  std::optional<ArrayFile> array_, labels_;
  bool missing_ = false;
  std::optional<std::uint32_t> label_column_;
  std::vector<double> sample_;  // with its label's column
  std::uint32_t width_ = 0;
  std::uint64_t row_ = 0;       // samples read of the open file
  std::uint64_t packed_before_ = 0;
  std::string label_;
};

}  // namespace dl::data
