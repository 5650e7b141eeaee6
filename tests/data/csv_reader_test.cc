// SPDX-License-Identifier: MIT
#include "data/csv_reader.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/file.h"
#include "data/fixtures.h"
#include "data/schema.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

struct Table {
  std::vector<std::vector<double>> rows;
  std::vector<std::string> labels;
  bool operator==(const Table&) const = default;
};

CsvReader open(const std::vector<std::string>& files, CsvOptions options = {}) {
  CsvReader reader(files, options);
  std::vector<CellUse> uses;
  for (std::uint32_t i = 0; i + 1 < reader.columns(); ++i) {
    uses.push_back({CellUse::Kind::number, i, nullptr});
  }
  uses.push_back({CellUse::Kind::label, 0, nullptr});
  reader.plan(uses);
  return reader;
}

Table read_all(CsvReader& reader) {
  Table table;
  std::vector<double> values(reader.width());
  std::string_view label;
  while (reader.next(values.data(), label)) {
    table.rows.push_back(values);
    table.labels.emplace_back(label);
  }
  return table;
}

// The text through a file, as dl-shard reads it.
Table table_of(const std::string& text, CsvOptions options = {}) {
  const test::Scratch dir;
  test::write_quickly(dir / "t.csv", text);
  CsvReader reader = open({(dir / "t.csv").string()}, options);
  return read_all(reader);
}

std::string complaint_about(const std::string& text, CsvOptions options = {}) {
  const auto complaint = test::complaint_of([&] { table_of(text, options); });
  CHECK(complaint.code == Exit::data);
  return complaint.text;
}

}  // namespace

TEST_CASE("csv: numbers, words, quotes, blanks, CRLF and a last line without end") {
  const Table wanted{{{1, -2.5}, {3e4, 0.125}}, {"a", "b c"}};
  for (const std::string text :
       {"1,-2.5,a\n3e4,.125,b c\n", "1,-2.5,a\r\n3e4,.125,b c", "1,-2.5,a\r\n3e4,.125,b c\r\n",
        "\"1\",\"-2.5\",\"a\"\n3e4,+0.125,\"b c\"", "  1 ,-2.50, a \n\n 30000\t,1.25e-1,b c  \n \n",
        "\xef\xbb\xbf" "1,-2.5,a\n3e4,.125,b c", "1;-2.5;a\n3e4;.125;b c\n", "1\t-2.5\ta\n3e4\t.125\tb c",
        "1|-2.5|a\n3e4|.125|b c", "\r\n1,-2.5,a\n3E+4,.125,b c\n"}) {
    CAPTURE(text);
    CHECK(table_of(text) == wanted);
  }
}

TEST_CASE("csv: names that come again, as where files were joined, are passed over") {
  CsvOptions options;
  options.header = true;
  const Table numbers{{{1, 2}, {3, 4}}, {"a", "b"}};
  CHECK(table_of("x,y,k\n1,2,a\nx,y,k\n3,4,b\nx,y,k\n", options) == numbers);
  CHECK(table_of("x, y ,k\r\n1,2,a\r\nx, y ,k\r\n3,4,b\r\n", options) == numbers);
}

TEST_CASE("csv: a quoted cell holds separators, line ends and quotes") {
  const Table table = table_of("1,\"a,\"\"b\"\"\n c \"\n2,x\"y\n");
  CHECK(table.labels == std::vector<std::string>{"a,\"b\"\n c ", "x\"y"});
}

TEST_CASE("csv: a header is told by the label's name, or by types that differ from the rows below") {
  const auto header_of = [](const std::string& text, CsvOptions options = {}) {
    const test::Scratch dir;
    test::write_quickly(dir / "t.csv", text);
    return CsvReader({(dir / "t.csv").string()}, options).header();
  };
  CHECK(header_of("x,y,kind\n1,2,a\n3,4,b\n"));
  CHECK(header_of("0,1,2,label\n1,2,3,0\n3,4,5,1\n"));
  CHECK_FALSE(header_of("1,2,a\n3,4,b\n"));
  CHECK_FALSE(header_of("nan,2,a\n3,4,b\n"));
  CHECK_FALSE(header_of("inf,2,a\n3,4,b\n"));
  CHECK_FALSE(header_of(",2,a\n3,4,b\n"));
  CHECK_FALSE(header_of("1,2,a\n"));
  CHECK(header_of("x,kind\nNULL,a\n2,b\n3,a\n"));
  CHECK_FALSE(header_of("none,a\n1,b\n2,a\nnone,b\n3,a\n"));
  CHECK(header_of("7,8,9\n1,2,3\n", {{}, {}, "8"}));
  CHECK(header_of("7,8,9\n1,2,3\n", {true, {}, ""}));
  CHECK_FALSE(header_of("x,y,z\n1,2,3\n", {false, {}, ""}));
}

TEST_CASE("csv: several files are one table, each with its names or only the first") {
  const test::Scratch dir;
  test::write_quickly(dir / "a", "x,kind\n1,a\n");
  test::write_quickly(dir / "b", "x,kind\n2,b");
  test::write_quickly(dir / "c", "3,c\n");
  test::write_quickly(dir / "empty", "");
  test::write_quickly(dir / "other", "y,kind\n2,b");
  const auto name = [&](const char* file) { return (dir / file).string(); };
  CsvReader reader = open({name("a"), name("b"), name("empty"), name("c")});
  CHECK(read_all(reader).labels == std::vector<std::string>{"a", "b", "c"});
  const auto complaint = test::complaint_of([&] {
    CsvReader strict = open({name("a"), name("other")}, {true, {}, ""});
    read_all(strict);
  });
  CHECK(complaint.code == Exit::data);
  CHECK(test::contains(complaint.text, "other"));

  // The same names in another order would mix the columns.
  test::write_quickly(dir / "straight", "x,z,kind\n1,2,a\n");
  test::write_quickly(dir / "turned", "z,x,kind\n2,1,a\n");
  const auto turned = test::complaint_of([&] {
    CsvReader both = open({name("straight"), name("turned")});
    read_all(both);
  });
  CHECK(turned.code == Exit::data);
  CHECK(test::contains(turned.text, "turned"));
  CHECK(test::contains(turned.text, "in the same order"));
}

TEST_CASE("csv: columns by name, by number from 0, and from the end") {
  const test::Scratch dir;
  test::write_quickly(dir / "t", "x,y,1,y\n1,2,3,4\n");
  const CsvReader reader({(dir / "t").string()}, {true, {}, ""});
  CHECK(reader.find_column("x") == 0);
  CHECK(reader.find_column("1") == 2);
  CHECK(reader.find_column("3") == 3);
  CHECK(reader.find_column("-1") == 3);
  CHECK(reader.find_column("-4") == 0);
  for (const char* const wrong : {"z", "4", "-5", "y", ""}) {
    CAPTURE(wrong);
    CHECK(test::complaint_of([&] { (void)reader.find_column(wrong); }).code == Exit::data);
  }
}

TEST_CASE("csv: what is wrong is named with file, row, column and text") {
  const std::string word = complaint_about("1,2,a\n3,4,b\n5,6x,c\n");
  CHECK(test::contains(word, "t.csv: row 3, column 1: '6x' is not a number"));
  const std::string named = complaint_about("x,y,kind\n3,4,b\n\n5,,c\n");
  CHECK(test::contains(named, "row 4, column 1 ('y'): the cell is empty"));
  CHECK(test::contains(complaint_about("1,2,a\n3,nan,b\n"), "row 2, column 1: 'nan' is not finite"));
  CHECK(test::contains(complaint_about("1,2,a\n-inf,1,b\n"), "'-inf' is not finite"));
  CHECK(test::contains(complaint_about("1,2,a\n1,1e39,b\n"), "'1e39' is too large"));
  CHECK(test::contains(complaint_about("1,2,a\n1,1e999,b\n"), "'1e999' is too large"));
  CHECK(test::contains(complaint_about("1,2,a\n1,2\n"), "row 2: 2 cells, but the first row has 3"));
  CHECK(test::contains(complaint_about("1,2,a\n1,2,b,c\n"), "row 2: 4 cells"));
  CHECK(test::contains(complaint_about("1,2,a\n1,2,\"b\n"), "row 2: a quote is opened"));
  CHECK(test::contains(complaint_about("1,2,a\n1,2,\"b\"c\n"), "row 2: text follows"));
  CHECK(test::contains(complaint_about(""), "is empty"));
  CHECK(test::contains(complaint_about("\n \n"), "is empty"));
  CHECK(test::contains(complaint_about("\xff\xfe" "1"), "UTF-16"));
}

TEST_CASE("csv: rows are the same wherever the buffer ends") {
  // Rows of many lengths over several buffers of 1 MiB, with quotes now and then.
  std::string text;
  Table wanted;
  for (int i = 0; text.size() < (std::size_t{5} << 20) / 2; ++i) {
    const std::string word(static_cast<std::size_t>(i * 7919 % 61), 'w');
    const bool quoted = i % 97 == 0;
    text += fmt::format("{},{}.5,{}\r\n", i, i % 1000, quoted ? "\"q,\n" + word + "\"" : word + "e");
    wanted.rows.push_back({static_cast<double>(i), i % 1000 + 0.5});
    wanted.labels.push_back(quoted ? "q,\n" + word : word + "e");
  }
  CHECK(table_of(text) == wanted);
}

TEST_CASE("csv: a row longer than the buffer is read, also as the first one") {
  std::string text;
  for (int i = 0; i < 400000; ++i) text += "12345,";
  const Table table = table_of(text + "a\n" + text + "b\n");
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[1].size() == 400000);
  CHECK(table.rows[1].back() == 12345);
  CHECK(table.labels[1] == "b");
}
