// SPDX-License-Identifier: MIT
// Sparse text as LIBSVM writes it: `label index:value index:value ...` on each line, indices ascending.
// What is not named is 0; blank lines, and what follows a '#', are passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/input_files.h"
#include "data/lines.h"
#include "data/row_source.h"

namespace dl::data {

// Rows are kept dense, and each feature has its scaling in the manifest: a larger index in a short file
// would take gigabytes.
inline constexpr std::uint32_t kLargestIndex = (1U << 18) - 1;

// Which indices become features.
struct LibsvmIndices {
  std::uint32_t first = 1;     // 0 or 1
  std::uint32_t features = 0;  // from the first on
};

// Reads files one after the other. Rows are numbered as lines are, from 1.
//
// Where the indices are not known yet, index i is the number at place i, rows grow with the largest index
// so far, and complete() says whether there was an index 0 and names the columns. Where they are known
// (prediction), rows have their width, indices behind them are passed over, and labels may be missing:
// in all rows or in none.
class LibsvmReader : public RowSource {
 public:
  // Opens the first file: 66 where it cannot be read.
  explicit LibsvmReader(InputFiles files, std::optional<LibsvmIndices> known = {});

  bool labelled();  // whether the first row has a label; reads it

  std::uint32_t width() override;
  // A BadRow names the row and the text where an index does not ascend, is none or is too large, where a value
  // is no finite number, and where a query (qid:) is given.
  bool next(double* values, std::string_view& label) override;
  std::string place() const override;
  std::string label_place() const override { return "the label"; }
  std::uint64_t packed_bytes() const override { return packed_before_ + lines_->source().packed_bytes(); }
  std::uint32_t complete(Schema& schema) const override;

 private:
  bool look_ahead();
  bool parse(std::string_view line);
  void note_indices();
  void parse_pair(const char*& at, const char* end, std::int64_t& before);
  [[noreturn]] void refuse_pair(std::string_view rest, const std::string& why) const;

  InputFiles files_;
  std::optional<LibsvmIndices> known_;
  std::size_t file_ = 0;
  std::optional<Lines> lines_;
  std::uint64_t packed_before_ = 0;

  std::uint32_t width_ = 1;
  bool zero_ = false;                                  // index 0 occurred
  bool ahead_ = false;                                 // a row is parsed and not yet handed out
  std::string_view label_;
  std::vector<std::pair<std::uint32_t, double>> pairs_;  // place and value
  std::optional<bool> labelled_;
};

// Whether the first row that is not blank is `number index:value ...`, as far as `head` reaches.
bool looks_like_libsvm(std::string_view head);

}  // namespace dl::data
