// SPDX-License-Identifier: MIT
#include "data/libsvm_reader.h"

#include <doctest/doctest.h>

#include "data/fixtures.h"
#include "data/schema.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

struct Table {
  std::vector<std::vector<double>> rows;
  std::vector<std::string> labels;
  std::uint32_t first = 0;
  std::vector<std::string> names;
  bool operator==(const Table&) const = default;
};

Table read(const std::vector<std::string>& texts, std::optional<LibsvmIndices> known = {}) {
  const test::Scratch dir;
  std::vector<std::string> files;
  for (const std::string& text : texts) {
    files.push_back((dir / std::to_string(files.size())).string());
    test::write_quickly(files.back(), text);
  }
  LibsvmReader reader(files, known);
  Table table;
  std::string_view label;
  for (;;) {
    std::vector<double> values(reader.width());
    if (!reader.next(values.data(), label)) break;
    table.rows.push_back(values);
    table.labels.emplace_back(label);
  }
  Schema schema;
  if (!known) {
    table.first = reader.complete(schema);
    CHECK(schema.input.first == table.first);
    CHECK(schema.input.columns == schema.columns.size());
  }
  for (const Column& column : schema.columns) table.names.push_back(column.name);
  return table;
}

std::string complaint_about(const std::string& text, std::optional<LibsvmIndices> known = {}) {
  const auto complaint = test::complaint_of([&] { read({text}, known); });
  CAPTURE(text);
  CHECK(complaint.code == Exit::data);
  return complaint.text;
}

}  // namespace

TEST_CASE("libsvm: rows grow with the largest index, from 1 where there is no index 0") {
  const Table table = read({"+1 1:0.5 3:-2e1\n\n# all of it\n-1\t2:+4 # more 9:9\r\n  7 \r\n2 5:1"});
  CHECK(table.rows == std::vector<std::vector<double>>{{0, 0.5, 0, -20}, {0, 0, 4, 0}, {0, 0, 0, 0}, {0, 0, 0, 0, 0, 1}});
  CHECK(table.labels == std::vector<std::string>{"+1", "-1", "7", "2"});
  CHECK(table.first == 1);
  CHECK(table.names == std::vector<std::string>{"1", "2", "3", "4", "5"});
}

TEST_CASE("libsvm: an index 0 anywhere makes all count from 0, over several files") {
  const Table table = read({"1 2:3", "0 0:0\n"});
  CHECK(table.rows == std::vector<std::vector<double>>{{0, 0, 3}, {0, 0, 0}});
  CHECK(table.first == 0);
  CHECK(table.names == std::vector<std::string>{"0", "1", "2"});
}

TEST_CASE("libsvm: what is wrong is named with its row and text") {
  const auto says = [](const std::string& text, const std::string& wanted) {
    CHECK_MESSAGE(test::contains(complaint_about(text), wanted), complaint_about(text));
  };
  says("1 1:1\n1 3:1 2:1\n", "row 2: '2:1': follows index 3");
  says("1 3:1 3:1\n", "row 1: '3:1': the index stands twice");
  says("1 qid:4 3:1\n", "'qid:4': ranking");
  says("1 2\n", "'2': has no colon");
  says("1 2:\n", "'2:': the value is not");
  says("1 2: 3\n", "'2:': the value is not");
  says("1 2:x\n", "'2:x': the value is not");
  says("1 2:1x\n", "'2:1x': the value is not");
  says("1 2:nan\n", "'2:nan': the value is not a finite number");
  says("1 2:-inf\n", "'2:-inf': the value is not a finite number");
  says("1 2:1e39\n", "too large for a float32");
  says("1 a:1\n", "'a:1': is not index:value");
  says("1 -1:1\n", "'-1:1': is not index:value");
  says("1 262144:1\n", "the index is above 262143");
  says("1 99999999999999999999:1\n", "the index is above 262143");
  says("2:1 3:1\n", "row 1: begins with '2:1', but a label is wanted");
  says("1\n2\n", "no row names a feature");
  says("1 0:1 1", "'1': has no colon");
}

TEST_CASE("libsvm: the largest index is taken") {
  const Table table = read({"1 262143:2\n"});
  CHECK(table.rows[0].size() == 262144);
  CHECK(table.rows[0].back() == 2);
}

TEST_CASE("libsvm: a row longer than the buffer, and every way to cut a text into reads") {
  std::string text = "3";
  for (int i = 1; i <= 200000; ++i) text += " " + std::to_string(i) + ":" + std::to_string(i % 100) + ".25";
  const Table table = read({text + "\n" + text});
  CHECK(table.rows.size() == 2);
  CHECK(table.rows[1].size() == 200001);
  CHECK(table.rows[0] == table.rows[1]);
  CHECK(table.rows[1][199999] == 99.25);
}

TEST_CASE("libsvm: every truncation is read or refused, never misread") {
  const std::string text = "1 1:0.5 3:2\n2 2:4\n";
  for (std::size_t n = 0; n < text.size(); ++n) {
    const std::string cut = text.substr(0, n);
    CAPTURE(cut);
    Table table;
    const auto complaint = test::complaint_of([&] { table = read({cut}); });
    CHECK((complaint.code == Exit::ok || complaint.code == Exit::data));
    if (complaint.code == Exit::ok) CHECK(table.rows[0][1] == (n < 7 ? 0 : 0.5));
  }
}

TEST_CASE("libsvm: with indices known, others are passed over and labels may be missing") {
  const LibsvmIndices known{1, 2};
  CHECK(read({"1 1:5 9:3\n0 2:6\n"}, known).rows == std::vector<std::vector<double>>{{5, 0}, {0, 6}});
  const Table bare = read({"1:5 9:3\n2:6\n"}, known);
  CHECK(bare.rows == std::vector<std::vector<double>>{{5, 0}, {0, 6}});
  CHECK(bare.labels == std::vector<std::string>{"", ""});
  CHECK(read({"1 0:5 1:6 2:7\n"}, LibsvmIndices{0, 2}).rows == std::vector<std::vector<double>>{{5, 6}});
  CHECK(test::contains(complaint_about("1 0:5\n", known), "begin with 1"));
  CHECK(test::contains(complaint_about("1 1:5\n1:5\n", known), "row 2: is without a label"));
  CHECK(test::contains(complaint_about("1:5\n1 1:5\n", known), "row 2: has a label"));
}

TEST_CASE("libsvm: told from the first row, as far as it can be seen") {
  for (const char* const text : {"1 2:3\n", "+1 1:0.5 2:-1e3 # x\n", "# words\n\n-1 1:1", "1 1:1 2:", "1.5\t7:2 8\n9 x"}) {
    CAPTURE(text);
    const std::string_view view(text);
    CHECK(looks_like_libsvm(view) == (view.find("\n9") == std::string_view::npos));
  }
  for (const char* const text : {"", "1\n", "1,2:3\n", "1 2 3\n", "a 2:3\n", "1:2 2:3\n", "1 x:3\n", "1 2:x\n", "#\n", "12:30 1:2\n"}) {
    CAPTURE(text);
    CHECK(!looks_like_libsvm(text));
  }
}
