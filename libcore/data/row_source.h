// SPDX-License-Identifier: MIT
// Samples of an input, one after the other, as numbers and a label's text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "data/schema.h"

namespace dl::data {

// Where things lie in a sample's row of numbers.
struct RowLayout {
  std::uint32_t cells = 0;    // of the schema's columns, in their order (encoder.h)
  std::uint32_t targets = 0;  // several numbers to predict, behind the cells; one comes as the label's text
  bool weight = false;        // then the weight,
  bool key = false;           // and the key's hash (key.h)

  static RowLayout of(const Schema& schema) {
    RowLayout layout;
    for (const Column& column : schema.columns) layout.cells += column.width;
    if (schema.targets.size() > 1) layout.targets = static_cast<std::uint32_t>(schema.targets.size());
    layout.weight = schema.weight.has_value();
    layout.key = schema.key.has_value();
    return layout;
  }
  std::uint32_t weight_place() const { return cells + targets; }
  std::uint32_t key_place() const { return weight_place() + weight; }
  std::uint32_t width() const { return key_place() + key; }
};

// A sample that is not as it must be (65). The source stands behind it: the next one can be read.
class BadRow : public Error {
 public:
  explicit BadRow(const std::string& text) : Error(Exit::data, text) {}
};

template <typename... Args>
[[noreturn]] void fail_row(fmt::format_string<Args...> format, Args&&... args) {
  throw BadRow(fmt::format(format, std::forward<Args>(args)...));
}

class RowSource {
 public:
  virtual ~RowSource() = default;
  // Numbers of the next sample. Where they may grow from sample to sample (never shrink), this reads it,
  // and refuses it as next() does.
  virtual std::uint32_t width() = 0;
  // The next sample: width() numbers and the label's text (empty where there is none; valid until
  // the next call). false at the end of the input. 65 names file, row and column.
  virtual bool next(double* values, std::string_view& label) = 0;
  // "digits.csv: row 17", the sample that was read last.
  virtual std::string place() const = 0;
  // The label's column in messages: "column 4 ('kind')".
  virtual std::string label_place() const = 0;
  virtual std::uint64_t packed_bytes() const = 0;  // read so far, of all files
  // Behind the last sample: adds to the schema what only all samples tell, and says how many numbers at
  // the beginning of each turned out to be none.
  virtual std::uint32_t complete(Schema&) const { return 0; }
};

}  // namespace dl::data
