// SPDX-License-Identifier: MIT
#include "checkpoint/ledger.h"

#include <optional>

#include "base/error.h"
#include "base/hash.h"

namespace dl::checkpoint {

namespace {

constexpr std::uint64_t kLongest = std::uint64_t{1} << 30;
constexpr const char* kPrevious = "previous";

std::string digest_of(std::string_view line) { return sha256_hex(as_bytes_of(line)); }

// Calls each(line) for every line that has its end; the bytes of all of them.
template <typename Each>
std::uint64_t for_each_line(std::string_view text, const Each& each) {
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', begin)) {
    each(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return begin;
}

// nullopt where it is no line of a ledger.
std::optional<Json> entry_of(std::string_view line) {
  try {
    Json entry = parse_json(line, "line");
    const JsonObject object(entry, "line");
    object.text("event");
    if (object.text(kPrevious).size() != LedgerHead().sha256.size()) return std::nullopt;
    return entry;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

Ledger::Ledger(fs::path path, const LedgerHead& recorded) : file_(std::move(path)) {
  const std::string before = read_file(file_.path(), kLongest);
  std::string_view last;
  std::string at_recorded = head_.sha256;
  const std::uint64_t whole = for_each_line(before, [&](std::string_view line) {
    last = line;
    if (++head_.lines == recorded.lines) at_recorded = digest_of(line);
  });
  if (head_.lines < recorded.lines) {
    fail(Exit::data, "{}: it has {} lines, and had {} before: its end was removed", file_.path().string(), head_.lines,
         recorded.lines);
  }
  if (at_recorded != recorded.sha256) {
    fail(Exit::data, "{}: line {} is not the one that was there before", file_.path().string(), recorded.lines);
  }
  if (head_.lines > 0) head_.sha256 = digest_of(last);
  file_.cut(whole);
}

void Ledger::append(Json entry) {
  const std::lock_guard lock(mutex_);
  owed_.push_back(std::move(entry));
  write_owed();
}

void Ledger::write_owed() {
  for (; !owed_.empty(); owed_.pop_front()) {
    Json entry = owed_.front();
    entry[kPrevious] = head_.sha256;
    const std::string line = dump_line(entry);
    file_.append(as_bytes_of(line + "\n"));
    ++head_.lines;
    head_.sha256 = digest_of(line);
  }
}

LedgerHead Ledger::sync() {
  const std::lock_guard lock(mutex_);
  write_owed();
  file_.sync();
  return head_;
}

LedgerHead Ledger::head() const {
  const std::lock_guard lock(mutex_);
  return head_;
}

std::vector<LedgerLine> read_ledger(const fs::path& path) {
  const std::string text = read_file(path, kLongest);
  std::vector<LedgerLine> lines;
  std::string wrong, before = LedgerHead().sha256;
  bool any = false;
  for_each_line(text, [&](std::string_view line) {
    std::optional<Json> entry = entry_of(line);
    any = any || entry;
    const std::size_t number = lines.size() + 1;
    if (!entry) {
      if (wrong.empty()) wrong = fmt::format("line {} is none that dl-coord writes", number);
    } else if (entry->at(kPrevious) != before && wrong.empty()) {
      wrong = number == 1 ? std::string("line 1 is not the first one of a run")
                          : fmt::format("line {} does not follow line {}: its digest of the line before is {}, "
                                        "that line's is {}", number, number - 1,
                                        shown(entry->at(kPrevious).get<std::string>()), before);
    }
    before = digest_of(line);
    lines.push_back({entry ? std::move(*entry) : Json(), before});
  });
  if (!any) fail(Exit::data, "{}: this is no ledger", path.string());
  if (!wrong.empty()) fail(Exit::no, "{}: {}", path.string(), wrong);
  return lines;
}

}  // namespace dl::checkpoint
