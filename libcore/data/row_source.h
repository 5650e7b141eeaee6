// SPDX-License-Identifier: MIT
// Samples of an input, one after the other, as numbers and a label's text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dl::data {

class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual std::uint32_t width() const = 0;  // numbers of a sample
  // The next sample: width() numbers and the label's text (empty where there is none; valid until
  // the next call). false at the end of the input. 65 names file, row and column.
  virtual bool next(double* values, std::string_view& label) = 0;
  // "digits.csv: row 17", the sample that was read last.
  virtual std::string place() const = 0;
  // The label's column in messages: "column 4 ('kind')".
  virtual std::string label_place() const = 0;
  virtual std::uint64_t packed_bytes() const = 0;  // read so far, of all files
};

}  // namespace dl::data
