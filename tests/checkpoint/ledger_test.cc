// SPDX-License-Identifier: MIT
#include "checkpoint/ledger.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>

#include "base/error.h"
#include "base/hash.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::checkpoint;

namespace {

void write_lines(const fs::path& path, int count) {
  Ledger ledger(path);
  for (int i = 0; i < count; ++i) ledger.append({{"event", "e"}, {"number", i}});
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines(1);
  for (const char c : read_file(path, 1 << 20)) {
    if (c == '\n') lines.emplace_back();
    else lines.back() += c;
  }
  lines.pop_back();
  return lines;
}

void put_lines(const fs::path& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_file(path, text);
}

// The code that reading ends with; 0: it was taken.
int code_of(const fs::path& path) {
  try {
    read_ledger(path);
    return 0;
  } catch (const Error& error) {
    return static_cast<int>(error.code());
  }
}

}  // namespace

TEST_CASE("ledger: lines read back, each with the digest of the one before, over several openings") {
  const test::Scratch dir;
  write_lines(dir / "ledger", 3);
  write_lines(dir / "ledger", 2);
  const auto lines = read_ledger(dir / "ledger");
  REQUIRE(lines.size() == 5);
  CHECK(lines[0].entry["previous"] == std::string(64, '0'));
  const auto texts = lines_of(dir / "ledger");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK(lines[i].sha256 == sha256_hex(as_bytes_of(texts[i])));
    if (i > 0) CHECK(lines[i].entry["previous"] == lines[i - 1].sha256);
  }
  CHECK(lines[4].entry["number"] == 1);
  CHECK(Ledger(dir / "ledger").head() == LedgerHead{5, lines[4].sha256});
}

TEST_CASE("ledger: a line removed, doubled, moved or changed in any byte is found") {
  const test::Scratch dir;
  write_lines(dir / "ledger", 6);
  const std::vector<std::string> whole = lines_of(dir / "ledger");
  // What the last line says is only held by who counted it (eval/audit).
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(i);
    auto lines = whole;
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(i), whole[i]);
    put_lines(dir / "doubled", lines);
    CHECK(code_of(dir / "doubled") == 1);
    if (i + 1 == whole.size()) continue;
    lines = whole;
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i));
    put_lines(dir / "removed", lines);
    CHECK(code_of(dir / "removed") == 1);
    lines = whole;
    std::swap(lines[i], lines[i + 1]);
    put_lines(dir / "moved", lines);
    CHECK(code_of(dir / "moved") == 1);
    for (std::size_t byte = 0; byte < whole[i].size(); ++byte) {
      lines = whole;
      lines[i][byte] = static_cast<char>(lines[i][byte] ^ 1);
      put_lines(dir / "changed", lines);
      CAPTURE(byte);
      REQUIRE(code_of(dir / "changed") == 1);
    }
  }
}

TEST_CASE("ledger: what is none is 65, what is missing 66") {
  const test::Scratch dir;
  CHECK(code_of(dir / "none") == 66);
  write_file(dir / "empty", "");
  CHECK(code_of(dir / "empty") == 65);
  write_file(dir / "metrics", "{\"event\":\"epoch\"}\n{\"event\":\"done\"}\n");
  CHECK(code_of(dir / "metrics") == 65);
}

TEST_CASE("ledger: a last line cut anywhere is passed over, and the next writer goes on before it") {
  const test::Scratch dir;
  write_lines(dir / "ledger", 3);
  const std::string whole = read_file(dir / "ledger", 1 << 20);
  const std::size_t two = whole.find('\n', whole.find('\n') + 1) + 1;
  for (std::size_t cut = two; cut < whole.size(); ++cut) {
    CAPTURE(cut);
    write_file(dir / "cut", whole.substr(0, cut));
    REQUIRE(read_ledger(dir / "cut").size() == 2);
    write_lines(dir / "cut", 1);
    const auto lines = read_ledger(dir / "cut");
    REQUIRE(lines.size() == 3);
    CHECK(lines[2].entry["number"] == 0);
  }
}

TEST_CASE("ledger: one that has lost what it had before is not gone on with") {
  const test::Scratch dir;
  write_lines(dir / "ledger", 4);
  const LedgerHead recorded = Ledger(dir / "ledger").head();
  const std::vector<std::string> whole = lines_of(dir / "ledger");
  const auto opened = [&](std::vector<std::string> lines) {
    put_lines(dir / "ledger", lines);
    try {
      Ledger(dir / "ledger", recorded).append({{"event", "e"}});
      return 0;
    } catch (const Error& error) {
      CHECK(lines_of(dir / "ledger") == lines);
      return static_cast<int>(error.code());
    }
  };
  CHECK(opened(whole) == 0);
  auto lines = whole;
  lines.pop_back();
  CHECK(opened(lines) == 65);
  CHECK(opened({}) == 65);
  lines.push_back(whole.back() + " ");
  CHECK(opened(lines) == 65);
  lines = whole;
  lines.erase(lines.begin());
  lines.push_back(whole.back());
  CHECK(opened(lines) == 0);  // a break before that line is in the chain, and no start takes it out
  CHECK(code_of(dir / "ledger") == 1);
  write_lines(dir / "ledger", 2);
  lines = whole;
  lines.push_back(lines_of(dir / "ledger").back());
  CHECK(opened(lines) == 0);  // longer than was recorded, as after a crash
}

TEST_CASE("ledger: a disk that is full is 74 and leaves whole lines; what it had no room for comes before the next") {
  const test::Scratch dir;
  Ledger ledger(dir / "ledger");
  ledger.append({{"event", "first"}});
  const LedgerHead before = ledger.head();
  const std::uint64_t bytes = fs::file_size(dir / "ledger");

  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  small.rlim_cur = bytes + 10;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  int code = 0;
  try {
    ledger.append({{"event", "second"}});
  } catch (const Error& error) {
    code = static_cast<int>(error.code());
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  CHECK(code == 74);
  CHECK(fs::file_size(dir / "ledger") == bytes);
  CHECK(ledger.head() == before);
  ledger.append({{"event", "third"}});
  ledger.sync();
  const auto lines = read_ledger(dir / "ledger");
  REQUIRE(lines.size() == 3);
  CHECK(lines[1].entry["event"] == "second");
  CHECK(lines[2].entry["event"] == "third");
}
