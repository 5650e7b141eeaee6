// SPDX-License-Identifier: MIT
#include "data/record.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "data/schema.h"

namespace dl::data {

namespace {

constexpr std::size_t kLookedAt = 20;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// The first records that are not blank, as far as they are complete.
std::vector<Record> first_records(std::string_view head, bool whole, char separator) {
  std::vector<Record> records;
  Record record;
  while (!head.empty() && records.size() <= kLookedAt &&
         split_record(head, separator, whole, record) == RecordEnd::whole) {
    if (!record.blank()) records.push_back(record);
  }
  return records;
}

}  // namespace

RecordEnd split_record(std::string_view& text, char separator, bool last, Record& record) {
  const auto blank = [separator](char c) { return is_blank(c) && c != separator; };
  std::size_t cells = 0;
  std::size_t at = 0;
  record.lines = 0;
  for (;;) {
    if (cells == record.cells.size()) record.cells.emplace_back();
    std::string& cell = record.cells[cells++];
    cell.clear();
    while (at < text.size() && blank(text[at])) ++at;
    if (at < text.size() && text[at] == '"') {
      for (++at;;) {
        const std::size_t quote = text.find('"', at);
        if (quote == std::string_view::npos) {
          return last ? RecordEnd::open_quote : RecordEnd::unfinished;
        }
        cell.append(text, at, quote - at);
        at = quote + 1;
        if (at == text.size() && !last) return RecordEnd::unfinished;
        if (at == text.size() || text[at] != '"') break;
        cell += '"';
        ++at;
      }
      record.lines += static_cast<std::uint64_t>(std::count(cell.begin(), cell.end(), '\n'));
      while (at < text.size() && blank(text[at])) ++at;
    } else {
      const std::size_t begin = at;
      while (at < text.size() && text[at] != separator && text[at] != '\n') ++at;
      std::size_t end = at;
      if (end > begin && text[end - 1] == '\r' && (at == text.size() || text[at] == '\n')) --end;
      while (end > begin && blank(text[end - 1])) --end;
      cell.assign(text, begin, end - begin);
    }
    if (at < text.size() && text[at] == separator) {
      ++at;
      continue;
    }
    if (at < text.size() && text[at] == '\r') {  // behind a closing quote
      if (at + 1 < text.size() ? text[at + 1] == '\n' : last) ++at;
    }
    if (at == text.size()) {
      if (!last) return RecordEnd::unfinished;
      break;
    }
    if (text[at] != '\n') {
      // A lone CR at the end of what there is may be half of a CRLF.
      return text[at] == '\r' && at + 1 == text.size() ? RecordEnd::unfinished
                                                       : RecordEnd::after_quote;
    }
    ++at;
    ++record.lines;
    break;
  }
  record.cells.resize(cells);
  text.remove_prefix(at);
  return RecordEnd::whole;
}

bool is_word(const std::string& cell) {
  double value = 0;
  const char* const end = cell.data() + cell.size();
  const auto [rest, error] = std::from_chars(cell.data(), end, value);
  return !cell.empty() && !parse_number(cell) && (error == std::errc::invalid_argument || rest != end);
}

bool is_utf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

char tell_separator(std::string_view head, bool whole) {
  constexpr std::array<char, 4> kCandidates = {',', '\t', ';', '|'};
  char best = ',';
  std::size_t most = 1;
  bool steady = false;
  for (const char candidate : kCandidates) {
    const std::vector<Record> records = first_records(head, whole, candidate);
    if (records.empty() || records[0].cells.size() < 2) continue;
    const std::size_t cells = records[0].cells.size();
    const bool same = std::all_of(records.begin(), records.end(), [&](const Record& record) {
      return record.cells.size() == cells;
    });
    if ((same && !steady) || (same == steady && cells > most)) {
      best = candidate;
      most = cells;
      steady = same;
    }
  }
  return best;
}

bool tell_header(std::string_view head, bool whole, char separator, std::string_view label,
                 const std::vector<std::string>& missing) {
  const std::vector<Record> records = first_records(head, whole, separator);
  if (records.empty()) return false;
  const std::vector<std::string>& first = records[0].cells;
  if (!label.empty() && std::find(first.begin(), first.end(), label) != first.end()) return true;
  const auto is_missing = [&](const std::string& cell) {
    return std::find(missing.begin(), missing.end(), cell) != missing.end();
  };
  for (std::size_t column = 0; column < first.size(); ++column) {
    if (!is_word(first[column]) || is_missing(first[column])) continue;
    std::size_t numbers = 0, words = 0;
    bool again = false;
    for (std::size_t i = 1; i < records.size(); ++i) {
      const bool there = column < records[i].cells.size();
      if (there && parse_number(records[i].cells[column])) {
        ++numbers;
      } else if (!there || !is_missing(records[i].cells[column])) {
        ++words;
        again = again || (there && records[i].cells[column] == first[column]);
      }
    }
    if (numbers > words && !again) return true;
  }
  return false;
}

}  // namespace dl::data
