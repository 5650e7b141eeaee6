// SPDX-License-Identifier: MIT
#include "data/labels.h"

#include <doctest/doctest.h>

#include "data/fixtures.h"

using namespace dl;
using namespace dl::data;

namespace {

class Nowhere : public RowSource {
 public:
  std::uint32_t width() override { return 0; }
  bool next(double*, std::string_view&) override { return false; }
  std::string place() const override { return "t.csv: row 7"; }
  std::string label_place() const override { return "column 2"; }
  std::uint64_t packed_bytes() const override { return 0; }
};

struct Told {
  LabelKind kind;
  std::vector<std::string> classes_of_rows;
};

Told tell(const std::vector<std::string>& texts, std::optional<Task> wanted = {}) {
  Labels labels(wanted);
  std::vector<Label> added;
  for (const std::string& text : texts) added.push_back(labels.add(text, Nowhere()));
  Told told{labels.finish(Nowhere()), {}};
  if (told.kind.task == Task::classification) {
    for (const Label& label : added) {
      told.classes_of_rows.push_back(told.kind.classes[told.kind.code_of_id[label.id]]);
    }
  }
  return told;
}

std::vector<std::string> numbers(int different, int rows, double step = 1) {
  std::vector<std::string> texts;
  for (int i = 0; i < rows; ++i) texts.push_back(fmt::format("{}", (i % different) * step));
  return texts;
}

std::string complaint_about(const std::vector<std::string>& texts, std::optional<Task> wanted = {}) {
  const auto complaint = test::complaint_of([&] { tell(texts, wanted); });
  CHECK(complaint.code == Exit::data);
  return complaint.text;
}

}  // namespace

TEST_CASE("labels: words are classes in the order of their bytes") {
  const Told told = tell({"rose", "iris", "Rose", "iris"});
  CHECK(told.kind.task == Task::classification);
  CHECK(told.kind.classes == std::vector<std::string>{"Rose", "iris", "rose"});
  CHECK(told.classes_of_rows == std::vector<std::string>{"rose", "iris", "Rose", "iris"});
}

TEST_CASE("labels: few whole numbers are classes in numeric order, however they are written") {
  const Told told = tell({"10", "9", "9.0", "-1", "1e1", "+9", "-0", "0"});
  CHECK(told.kind.task == Task::classification);
  CHECK(told.kind.classes == std::vector<std::string>{"-1", "0", "9", "10"});
  CHECK(told.classes_of_rows == std::vector<std::string>{"10", "9", "9", "-1", "10", "9", "0", "0"});
}

TEST_CASE("labels: short and long texts, and those that share bytes, stay apart") {
  std::vector<std::string> texts = {"a", std::string("\0a", 2), std::string("\0\0a", 3), "aa",
                                    "12345678", "123456789", "2345678", "\x7f"};
  for (int i = 0; i < 300; ++i) texts.push_back(fmt::format("c{}", i * i));
  std::vector<std::string> rows;
  for (int pass = 0; pass < 3; ++pass) rows.insert(rows.end(), texts.begin(), texts.end());
  const Told told = tell(rows, Task::classification);
  CHECK(told.kind.classes.size() == texts.size());
  CHECK(told.classes_of_rows == rows);
}

TEST_CASE("labels: the rule between classes and numbers, at its borders") {
  const auto task = [](const std::vector<std::string>& texts) { return tell(texts).kind.task; };
  CHECK(task(numbers(2, 2)) == Task::classification);
  CHECK(task(numbers(4, 4)) == Task::classification);
  CHECK(task(numbers(5, 5)) == Task::regression);
  CHECK(task(numbers(20, 100)) == Task::classification);
  CHECK(task(numbers(21, 100)) == Task::regression);
  CHECK(task(numbers(100, 100000)) == Task::classification);
  CHECK(task(numbers(101, 100000)) == Task::regression);
  CHECK(task(numbers(2, 100, 0.5)) == Task::regression);
  CHECK(tell(numbers(2, 100, 0.5), Task::classification).kind.classes ==
        std::vector<std::string>{"0", "0.5"});
  CHECK(tell(numbers(2, 100), Task::regression).kind.task == Task::regression);
  CHECK(task(numbers(70000, 70000)) == Task::regression);
}

TEST_CASE("labels: what is wrong is named") {
  CHECK(test::contains(complaint_about({"a", "a"}), "every label is 'a'"));
  CHECK(test::contains(complaint_about({"1", "1.0"}), "every label is '1'"));
  CHECK(test::contains(complaint_about({"a", ""}), "t.csv: row 7, column 2: the label is empty"));
  CHECK(test::contains(complaint_about({"1.5", "nan"}), "'nan' is not finite"));
  CHECK(test::contains(complaint_about({"a", "inf"}), "'inf' is not finite"));
  CHECK(test::contains(complaint_about({"1.5", "2.5", "x"}), "'x' is not a number, but"));
  CHECK(test::contains(complaint_about({"1", "x"}, Task::regression), "'x' is not a number"));
  std::vector<std::string> many;
  for (int i = 0; i <= 65536; ++i) many.push_back("w" + std::to_string(i));
  CHECK(test::contains(complaint_about(many), "more than 65536"));
  CHECK(tell({"1", "x", "1", "x"}).kind.task == Task::classification);
  CHECK(tell({"1.5", "x"}, Task::classification).kind.classes == std::vector<std::string>{"1.5", "x"});
}
