// SPDX-License-Identifier: MIT
#include "data/csv_reader.h"

#include <algorithm>
#include <charconv>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "data/number.h"
#include "data/schema.h"

namespace dl::data {

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;
constexpr std::size_t kLongestRow = std::size_t{1} << 28;
bool is_line_end(char c) { return c == '\n' || c == '\r'; }

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

}  // namespace

CsvReader::CsvReader(InputFiles files, const CsvOptions& options)
    : files_(std::move(files)), options_(options) {
  open(0);
}

void CsvReader::open(std::size_t file) {
  if (source_) packed_before_ += source_->packed_bytes();
  file_ = file;
  source_.emplace(files_.open(file));
  at_ = end_ = 0;
  last_ = false;
  row_ = 0;
  next_row_ = 1;
  more();
  const std::string_view begin(buffer_.data(), end_);
  if (begin.substr(0, 2) == "\xff\xfe" || begin.substr(0, 2) == "\xfe\xff") {
    fail(Exit::data, "{}: is UTF-16; convert it to UTF-8 first (iconv)", source_->name());
  }
  if (begin.substr(0, 3) == "\xef\xbb\xbf") at_ = 3;
  if (file > 0) {
    if (!header_) return;
    const std::size_t before = at_;
    const RecordEnd split = take_record();
    if (split != RecordEnd::whole) return;  // empty, or next() will say what is wrong
    if (is_names(record_)) return;
    if (options_.header.value_or(false) || has_all_names(record_)) {
      fail(Exit::data, "{}: its column names are not those of {}, in the same order", source_->name(), files_[0]);
    }
    at_ = before;
    next_row_ = 1;
    return;
  }

  const auto head = [this] { return std::string_view(buffer_).substr(at_, end_ - at_); };
  separator_ = options_.separator ? *options_.separator : tell_separator(head(), last_);
  const std::size_t start = at_;
  RecordEnd split = RecordEnd::whole;
  do {  // the first row that is not blank; the buffer grows where it is longer
    split = take_record();
  } while (split == RecordEnd::whole && record_.blank());
  if (split == RecordEnd::unfinished) fail(Exit::data, "{}: is empty", source_->name());
  if (split != RecordEnd::whole) refuse_split(split);
  const std::size_t behind = at_;
  at_ = start;
  header_ = options_.header ? *options_.header
                            : tell_header(head(), last_, separator_, options_.label, options_.missing);
  if (header_) {
    names_ = record_.cells;
    for (const std::string& name : names_) {
      if (!is_utf8(name)) {
        fail(Exit::data, "{}: the column name {} is not UTF-8; convert the file first (iconv)", place(),
             shown(name));
      }
    }
    header_line_ = std::string_view(buffer_).substr(start, behind - start);
    while (!header_line_.empty() && is_line_end(header_line_.back())) header_line_.pop_back();
    at_ = behind;
  } else {
    for (std::size_t i = 0; i < record_.cells.size(); ++i) names_.push_back(std::to_string(i));
    next_row_ = 1;
  }
}

bool CsvReader::has_all_names(const Record& record) const {
  return std::is_permutation(record.cells.begin(), record.cells.end(), names_.begin(), names_.end());
}

bool CsvReader::more() {
  if (last_) return false;
  std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
  end_ -= at_;
  at_ = 0;
  if (end_ > kLongestRow) {
    fail(Exit::data, "{}: row {} is longer than {} MiB; is a quote never closed?", source_->name(),
         next_row_, kLongestRow >> 20);
  }
  const std::size_t wanted = std::max(kBuffer, 2 * end_);
  if (buffer_.size() < wanted + kBehindNumbers) buffer_.resize(wanted + kBehindNumbers);
  const std::size_t n = source_->read(buffer_.data() + end_, wanted - end_);
  end_ += n;
  last_ = end_ < wanted;
  buffer_[end_] = '\n';
  return n > 0;
}

std::uint32_t CsvReader::find_column(const std::string& text) const {
  if (header_) {
    const auto at = std::find(names_.begin(), names_.end(), text);
    if (at != names_.end()) {
      if (std::find(at + 1, names_.end(), text) != names_.end()) {
        fail(Exit::data, "{}: two columns are called {}; give the column's number", file(),
             shown(text));
      }
      return static_cast<std::uint32_t>(at - names_.begin());
    }
  }
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto count = static_cast<std::int64_t>(names_.size());
  if (error == std::errc() && end == text.data() + text.size()) {
    if (number >= -count && number < count) {
      return static_cast<std::uint32_t>(number < 0 ? number + count : number);
    }
    fail(Exit::data, "{}: there is no column {}; a row has {} (numbered 0 to {}, or -1 for the last)",
         file(), number, count, count - 1);
  }
  if (!header_) {
    fail(Exit::data, "{}: there is no column {}: the first row names no columns; give a number, or --header yes",
         file(), shown(text));
  }
  std::string known;
  for (std::size_t i = 0; i < names_.size() && i < 10; ++i) {
    known += (i == 0 ? "" : ", ") + shown(names_[i]);
  }
  fail(Exit::data, "{}: there is no column {}; there are {}{}", file(), shown(text), known,
       names_.size() > 10 ? ", ..." : "");
}

std::string CsvReader::column_place(std::uint32_t column) const {
  return header_ ? fmt::format("column {} ({})", column, shown(names_[column]))
                 : fmt::format("column {}", column);
}

std::string CsvReader::label_place() const {
  const auto at = std::find_if(uses_.begin(), uses_.end(), [](const CellUse& use) {
    return use.kind == CellUse::Kind::label;
  });
  return at == uses_.end() ? "the label" : column_place(static_cast<std::uint32_t>(at - uses_.begin()));
}

std::vector<Record> CsvReader::look(std::size_t most) const {
  std::string_view text(buffer_.data() + at_, end_ - at_);
  std::vector<Record> records;
  Record record;
  while (!text.empty() && records.size() < most &&
         split_record(text, separator_, last_, record) == RecordEnd::whole) {
    if (!record.blank()) records.push_back(record);
  }
  return records;
}

void CsvReader::plan(std::vector<CellUse> uses) {
  uses_ = std::move(uses);
  width_ = 0;
  number_places_.clear();
  for (const CellUse& use : uses_) {
    number_places_.push_back(use.kind == CellUse::Kind::number ? static_cast<std::int32_t>(use.place) : -1);
    width_ += use.kind >= CellUse::Kind::number;
    if (use.kind == CellUse::Kind::key) keys_ = std::make_unique<Keys>();
  }
  for (const std::string& text : options_.missing) {
    if (const auto number = parse_number(text)) missing_numbers_.push_back(*number);
  }
}

bool CsvReader::is_missing(std::string_view text) const {
  return std::find(options_.missing.begin(), options_.missing.end(), text) != options_.missing.end();
}

void CsvReader::drop_missing_numbers(double* values) const {
  for (const std::int32_t place : number_places_) {
    if (place < 0) continue;
    for (const double number : missing_numbers_) {
      if (values[place] == number) values[place] = kMissing;
    }
  }
}

std::string CsvReader::place() const { return fmt::format("{}: row {}", source_->name(), row_); }

bool CsvReader::next(double* values, std::string_view& label) {
  label = {};
  for (;;) {
    if (at_ == end_ && last_) {
      if (file_ + 1 == files_.size()) return false;
      open(file_ + 1);
      continue;
    }
    if (next_fast(values, label) || next_slow(values, label)) return true;
  }
}

// A cell without quotes, the blanks around it aside; `at` moves to what ends it.
std::string_view CsvReader::take_text(const char*& at) const {
  const char* const begin = at;
  while (*at != separator_ && *at != '\n' && *at != '"') ++at;
  if (*at == '\n' && at > begin && at[-1] == '\r') --at;
  const char* end = at;
  while (end > begin && (end[-1] == ' ' || end[-1] == '\t')) --end;
  return {begin, static_cast<std::size_t>(end - begin)};
}

// What is not scanned as a number; false where the text is refused.
bool CsvReader::use_text(const CellUse& use, std::string_view text, double* values,
                         std::string_view& label) {
  switch (use.kind) {
    case CellUse::Kind::ignored: return true;
    case CellUse::Kind::label: label = text; return !is_missing(text);
    case CellUse::Kind::key: values[use.place] = static_cast<double>((*keys_)(text)); return true;
    case CellUse::Kind::number:
      values[use.place] = kMissing;
      return is_missing(text);
    case CellUse::Kind::category: break;
  }
  if (is_missing(text)) {
    values[use.place] = kMissing;
    return true;
  }
  const std::uint32_t number = use.dictionary->number_of(text);
  values[use.place] = number;
  return number != Dictionary::kNoText;
}

// A row without quotes, whole in the buffer, whose cells are all right; false leaves it alone.
bool CsvReader::next_fast(double* values, std::string_view& label) {
  const char* const limit = buffer_.data() + end_;
  const char* p = buffer_.data() + at_;
  const char separator = separator_;
  const std::int32_t* const places = number_places_.data();
  const std::size_t columns = number_places_.size();
  for (std::size_t column = 0;;) {
    while (*p == ' ' && separator != ' ') ++p;
    const std::int32_t place = places[column];
    if (place < 0 || scan_number(p, limit, values[place]) != Scan::number) {
      if (!use_text(uses_[column], take_text(p), values, label)) return false;
    }
    if (++column == columns) break;
    if (*p != separator) return false;
    ++p;
  }
  if (*p == '\r') ++p;
  if (*p != '\n' || (p >= limit && !last_)) return false;
  // Files that were joined by a pipe repeat their names; next_slow() passes them over.
  const char* const line = buffer_.data() + at_;
  if (header_ && *line == header_line_[0] && std::string_view(line, limit).starts_with(header_line_)) return false;
  at_ = p >= limit ? end_ : static_cast<std::size_t>(p + 1 - buffer_.data());
  row_ = next_row_++;
  if (!missing_numbers_.empty()) drop_missing_numbers(values);
  return true;
}

// Takes the next record into record_, reading on as far as it reaches; unfinished: there is none.
RecordEnd CsvReader::take_record() {
  for (;;) {
    if (at_ == end_ && last_) return RecordEnd::unfinished;
    std::string_view text(buffer_.data() + at_, end_ - at_);
    const RecordEnd split = split_record(text, separator_, last_, record_);
    if (split == RecordEnd::unfinished && !last_) {
      more();
      continue;
    }
    row_ = next_row_;
    if (split != RecordEnd::whole) return split;
    next_row_ += std::max<std::uint64_t>(record_.lines, 1);
    at_ = end_ - text.size();
    return split;
  }
}

bool CsvReader::next_slow(double* values, std::string_view& label) {
  const RecordEnd split = take_record();
  if (split == RecordEnd::unfinished) return false;
  if (split != RecordEnd::whole) refuse_split(split);
  if (record_.blank()) return false;
  if (header_ && is_names(record_)) return false;
  if (record_.cells.size() != names_.size()) {
    fail_row("{}: {} cells, but {} has {}; each row must have as many", place(),
             record_.cells.size(), header_ ? "the header" : "the first row", names_.size());
  }
  for (std::uint32_t column = 0; column < names_.size(); ++column) {
    const std::string& cell = record_.cells[column];
    const CellUse& use = uses_[column];
    const std::optional<double> number =
        use.kind == CellUse::Kind::number ? parse_number(cell) : std::nullopt;
    if (number) {
      values[use.place] = *number;
    } else if (!use_text(use, cell, values, label)) {
      refuse_cell(column, cell);
    }
  }
  if (!missing_numbers_.empty()) drop_missing_numbers(values);
  return true;
}

void CsvReader::refuse_split(RecordEnd split) const {
  if (split == RecordEnd::open_quote) {
    fail(Exit::data, "{}: a quote is opened and never closed", place());
  }
  fail(Exit::data, "{}: text follows a closing quote; write a quote inside a cell twice (\"\")",
       place());
}

void CsvReader::refuse_cell(std::uint32_t column, const std::string& cell) const {
  const std::string where = fmt::format("{}, {}", place(), column_place(column));
  if (uses_[column].kind == CellUse::Kind::label) {
    fail_row("{}: the label is {}; fill it in or leave the row out", where,
             cell.empty() ? "empty" : shown(cell) + ", which means missing");
  }
  if (uses_[column].kind == CellUse::Kind::category) {
    fail_row("{}: {} is not UTF-8; convert the file first (iconv)", where, shown(cell));
  }
  if (cell.empty()) {
    fail_row("{}: the cell is empty, a number is wanted; fill it in or leave the row out", where);
  }
  double value = 0;
  const char* at = cell.data();
  const char* const end = at + cell.size();
  if (scan_number_slow(at, end, value) == Scan::too_large) {
    fail_row("{}: {} is too large for a float32", where, shown(cell));
  }
  const auto [rest, error] = std::from_chars(cell.data(), end, value);
  if (error == std::errc() && rest == end && !std::isfinite(value)) {
    fail_row("{}: {} is not finite; fill it in, or say --missing {}", where, shown(cell), cell);
  }
  fail_row("{}: {} is not a number; correct it, or say --missing {}{}", where, shown(cell), shown(cell),
           std::isalpha(static_cast<unsigned char>(cell[0])) ? fmt::format(" or --category {}", shown(names_[column]))
                                                            : "");
}

}  // namespace dl::data
