// SPDX-License-Identifier: MIT
// One record of separated text: RFC 4180 quotes, LF or CRLF, blanks around cells dropped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dl::data {

struct Record {
  std::vector<std::string> cells;
  std::uint64_t lines = 0;       // line ends in it
  bool blank() const { return cells.size() == 1 && cells[0].empty(); }
};

// How the text of a record ended.
enum class RecordEnd {
  whole,       // `text` now starts behind the record
  unfinished,  // the text ends before the record does; give more
  open_quote,  // the input ends inside a quoted cell
  after_quote, // text follows a closing quote
};

// Takes the record at the beginning of `text` apart. `last`: no more text comes, so that the end of
// the text ends a record. A quoted cell keeps its blanks; a quote inside an unquoted one is a letter.
RecordEnd split_record(std::string_view& text, char separator, bool last, Record& record);

// Neither a number that a table may hold nor a number gone wrong (nan, inf, 1e999).
bool is_word(const std::string& cell);

// What JSON, and so a manifest, can hold.
bool is_utf8(const std::string& text);

// What is told from the beginning of a table.
char tell_separator(std::string_view head, bool whole);

// Whether the first record names the columns: it contains `label` (where that is not empty), or a cell
// of it is a word that is in the same cell of none of the records below (up to 20), most of which, those
// where it is missing aside, have a number there: a bad cell among numbers does not hide the names.
bool tell_header(std::string_view head, bool whole, char separator, std::string_view label,
                 const std::vector<std::string>& missing = {});

}  // namespace dl::data
