// SPDX-License-Identifier: MIT
#include "data/libsvm_reader.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "data/number.h"
#include "data/schema.h"

namespace dl::data {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
// What ends a field.
bool is_end(char c) { return is_blank(c) || c == '#' || c == '\n'; }

std::string_view first_field(std::string_view text) {
  return text.substr(0, static_cast<std::size_t>(std::find_if(text.begin(), text.end(), is_end) - text.begin()));
}

std::string_view behind_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

bool is_pair(std::string_view field) {
  const std::size_t colon = field.find(':');
  return colon != std::string_view::npos && colon > 0 &&
         std::all_of(field.begin(), field.begin() + static_cast<std::ptrdiff_t>(colon), is_digit) &&
         parse_number(field.substr(colon + 1)).has_value();
}

}  // namespace

LibsvmReader::LibsvmReader(InputFiles files, std::optional<LibsvmIndices> known)
    : files_(std::move(files)), known_(known) {
  lines_.emplace(files_.open(0));
  if (known_) width_ = known_->features;
}

bool LibsvmReader::labelled() {
  ahead_ = ahead_ || look_ahead();
  return labelled_.value_or(false);
}

std::uint32_t LibsvmReader::width() {
  ahead_ = ahead_ || look_ahead();
  return width_;
}

bool LibsvmReader::next(double* values, std::string_view& label) {
  label = {};
  if (!ahead_ && !look_ahead()) return false;
  ahead_ = false;
  std::fill(values, values + width_, 0.0);
  for (const auto& [place, value] : pairs_) values[place] = value;
  label = label_;
  return true;
}

bool LibsvmReader::look_ahead() {
  std::string_view line;
  for (;;) {
    if (lines_->next(line)) {
      if (parse(line)) return true;
    } else {
      if (file_ + 1 == files_.size()) return false;
      packed_before_ += lines_->source().packed_bytes();
      lines_.emplace(files_.open(++file_));
    }
  }
}

// false: there is no sample on the line.
bool LibsvmReader::parse(std::string_view line) {
  line = behind_blanks(line);
  const std::string_view field = first_field(line);
  if (field.empty()) return false;
  const bool labelled = field.find(':') == std::string_view::npos;
  if (!labelled && !known_) {
    fail_row("{}: begins with {}, but a label is wanted there", place(), shown(field));
  }
  if (labelled_.value_or(labelled) != labelled) {
    fail_row("{}: {} a label, but the rows before {}", place(), labelled ? "has" : "is without",
         labelled ? "have none" : "have one");
  }
  label_ = labelled ? field : std::string_view();
  pairs_.clear();
  const char* at = line.data() + label_.size();
  const char* const end = line.data() + line.size();
  for (std::int64_t before = -1;;) {
    while (at != end && is_blank(*at)) ++at;
    if (at == end || *at == '#') {
      labelled_ = labelled;
      note_indices();
      return true;
    }
    parse_pair(at, end, before);
  }
}

// Only of rows that are right as a whole.
void LibsvmReader::note_indices() {
  if (known_ || pairs_.empty()) return;
  zero_ = zero_ || pairs_.front().first == 0;
  width_ = std::max(width_, pairs_.back().first + 1);
}

void LibsvmReader::parse_pair(const char*& at, const char* end, std::int64_t& before) {
  const std::string_view rest(at, static_cast<std::size_t>(end - at));
  const std::int64_t largest = known_ ? kMostFeatures - 1 : kLargestIndex;
  std::int64_t index = 0;
  const char* const digits = at;
  while (at != end && is_digit(*at) && index <= largest) index = index * 10 + (*at++ - '0');
  if (rest.substr(0, 4) == "qid:") refuse_pair(rest, "ranking by queries (qid) is not known; remove it");
  if (at == digits) refuse_pair(rest, "is not index:value");
  if (index > largest) refuse_pair(rest, fmt::format("the index is above {}", largest));
  if (at == end || *at != ':') refuse_pair(rest, "has no colon behind its index");
  ++at;
  if (index <= before) {
    refuse_pair(rest, index == before ? "the index stands twice"
                                      : fmt::format("follows index {}; indices must ascend", before));
  }
  before = index;
  double value = 0;
  const Scan scanned = at == end ? Scan::word : scan_number(at, end, value);
  if (scanned == Scan::too_large) refuse_pair(rest, "the value is too large for a float32");
  if (scanned != Scan::number || (at != end && !is_end(*at))) {
    refuse_pair(rest, "the value is not a finite number");
  }
  const auto place = static_cast<std::uint32_t>(index);
  if (!known_) {
    pairs_.emplace_back(place, value);
  } else if (place < known_->first) {
    refuse_pair(rest, "the index is 0, but those that the model knows begin with 1");
  } else if (place - known_->first < known_->features) {
    pairs_.emplace_back(place - known_->first, value);
  }
}

void LibsvmReader::refuse_pair(std::string_view rest, const std::string& why) const {
  fail_row("{}: {}: {}", place(), shown(first_field(rest)), why);
}

std::string LibsvmReader::place() const {
  return fmt::format("{}: row {}", lines_->source().name(), lines_->number());
}

std::uint32_t LibsvmReader::complete(Schema& schema) const {
  const std::uint32_t first = zero_ ? 0 : 1;
  if (width_ == first) fail(Exit::data, "{}: no row names a feature (index:value)", files_[0]);
  schema.input.first = first;
  schema.input.columns = width_ - first;
  for (std::uint32_t index = first; index < width_; ++index) {
    Column& column = schema.columns.emplace_back();
    column.name = std::to_string(index);
    column.index = index;
  }
  return first;
}

bool looks_like_libsvm(std::string_view head) {
  while (!head.empty()) {
    const std::size_t end = head.find('\n');
    const bool whole = end != std::string_view::npos;
    std::string_view line = behind_blanks(head.substr(0, end));
    head = whole ? head.substr(end + 1) : std::string_view();
    std::string_view field = first_field(line);
    if (field.empty()) continue;
    if (!parse_number(field)) return false;
    for (std::size_t pairs = 0;; ++pairs) {
      line = behind_blanks(line.substr(field.size()));
      field = first_field(line);
      // The last field of what is cut off may be half of one.
      if (field.empty() || (!whole && field.size() == line.size() && pairs > 0)) return pairs > 0;
      if (!is_pair(field)) return false;
    }
  }
  return false;
}

}  // namespace dl::data
