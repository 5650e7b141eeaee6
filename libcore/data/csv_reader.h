// SPDX-License-Identifier: MIT
// Tables of separated text: CSV, TSV and their kin.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dictionary.h"
#include "data/input_files.h"
#include "data/key.h"
#include "data/record.h"
#include "data/row_source.h"

namespace dl::data {

struct CsvOptions {
  std::optional<bool> header;     // whether each file begins with names; unset: told from the first file
  std::optional<char> separator;  // unset: told from the first file
  std::string label;              // a first row that contains this name is a header
  std::vector<std::string> missing{};  // texts of a cell that holds nothing
};

// What becomes of a column's cells.
struct CellUse {
  enum class Kind { ignored, label, number, category, key };
  Kind kind = Kind::ignored;
  std::uint32_t place = 0;           // in the row of numbers; not of a label
  Dictionary* dictionary = nullptr;  // category: gives the texts' numbers; outlives the reader
};

// Reads files one after the other; every row must have as many cells as the first one. Holds one
// buffer of at least 1 MiB, more where a single row is longer. Blank lines are passed over. Rows are
// numbered as lines are, from 1, names and blank lines too. A row that is the header again, as where files
// were joined, is passed over. A missing cell is NaN in the row of
// numbers, but a missing label is a BadRow.
class CsvReader : public RowSource {
 public:
  // Opens the first file: 66 where it cannot be read, 65 where it is empty.
  CsvReader(InputFiles files, const CsvOptions& options);

  bool header() const { return header_; }
  char separator() const { return separator_; }
  std::uint32_t columns() const { return static_cast<std::uint32_t>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }  // "0", "1", ... without a header
  const std::string& file() const { return source_->name(); }
  // The column that `text` names, or numbers from 0 (negative: from the end); 65 where there is none.
  std::uint32_t find_column(const std::string& text) const;
  std::string column_place(std::uint32_t column) const;  // "column 4 ('kind')"

  // The rows at the beginning of the first file, as far as the buffer holds them, at most `most`.
  std::vector<Record> look(std::size_t most) const;

  // Must be called once before next(): one entry per column; the places are 0 .. width-1.
  void plan(std::vector<CellUse> uses);

  std::uint32_t width() override { return width_; }
  bool next(double* values, std::string_view& label) override;
  std::string place() const override;
  std::string label_place() const override;
  std::uint64_t packed_bytes() const override { return packed_before_ + source_->packed_bytes(); }

 private:
  void open(std::size_t file);
  bool more();  // reads on; false at the end of the file
  bool next_fast(double* values, std::string_view& label);
  RecordEnd take_record();
  bool next_slow(double* values, std::string_view& label);
  std::string_view take_text(const char*& at) const;
  bool use_text(const CellUse& use, std::string_view text, double* values, std::string_view& label);
  bool is_missing(std::string_view text) const;
  void drop_missing_numbers(double* values) const;
  [[noreturn]] void refuse_split(RecordEnd split) const;
  [[noreturn]] void refuse_cell(std::uint32_t column, const std::string& cell) const;
  bool is_names(const Record& record) const { return record.cells == names_; }
  bool has_all_names(const Record& record) const;  // in any order

  InputFiles files_;
  CsvOptions options_;
  std::size_t file_ = 0;
  std::optional<ByteSource> source_;
  std::uint64_t packed_before_ = 0;  // of the files that are done

  std::string buffer_;  // the unread text is [at_, end_), and buffer_[end_] is '\n' (kBehindNumbers)
  std::size_t at_ = 0, end_ = 0;
  bool last_ = false;   // the file has no more than what the buffer holds
  std::uint64_t row_ = 0, next_row_ = 1;

  bool header_ = false;
  char separator_ = ',';
  std::vector<std::string> names_;
  std::string header_line_;  // as it stands in the first file
  std::vector<CellUse> uses_;
  std::vector<std::int32_t> number_places_;  // by column; -1: its cells are no numbers
  std::unique_ptr<Keys> keys_;               // where a column is the key
  std::vector<double> missing_numbers_;      // missing texts that are numbers ("-999")
  std::uint32_t width_ = 0;
  Record record_;
};

}  // namespace dl::data
