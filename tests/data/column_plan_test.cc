// SPDX-License-Identifier: MIT
#include "data/column_plan.h"

#include <doctest/doctest.h>

#include "data/fixtures.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

constexpr const char* kPeople =
    "id, age, work, code, income\n"
    "1, 39, Private, 7, low\n"
    "2, ?, Gov, 9, high\n"
    "3, 38, ?, 7, low\n";

struct People {
  explicit People(const std::string& text = kPeople) {
    test::write_quickly(dir / "t.csv", text);
    CsvOptions options;
    options.missing = {"?", ""};
    reader.emplace(std::vector<std::string>{(dir / "t.csv").string()}, options);
  }
  test::Scratch dir;
  std::optional<CsvReader> reader;
};

ColumnWishes wishes() {
  ColumnWishes all;
  all.missing = {"?", ""};
  return all;
}

std::string text_of(const std::vector<ColumnUse>& uses) {
  std::string text;
  for (const ColumnUse& use : uses) text += "ncitwk"[static_cast<int>(use.use)] + std::string(use.indicator, '+');
  return text;
}

}  // namespace

TEST_CASE("columns: words are categories, one bad cell does not make numbers words") {
  const People people;
  CHECK(people.reader->header());
  CHECK(text_of(uses_of(*people.reader, wishes())) == "nncnt");
  const People typo("a,b\n1,x\n2,y\n3o,x\n4,y\n");
  CHECK(text_of(uses_of(*typo.reader, wishes())) == "nt");
}

TEST_CASE("columns: options say what a column is, by name or number") {
  const People people;
  ColumnWishes w = wishes();
  w.labels = "income";
  w.ignored = "id";
  w.categories = "3";
  w.indicators = "age,work";
  CHECK(text_of(uses_of(*people.reader, w)) == "in+c+ct");
  w.labels = "age,code";
  w.categories = "";
  w.indicators = "all";
  CHECK(text_of(uses_of(*people.reader, w)) == "i+t+c+t+c+");
  w = wishes();
  w.weight = "age";
  w.key = "id";
  CHECK(text_of(uses_of(*people.reader, w)) == "kwcnt");
}

TEST_CASE("columns: what contradicts itself or does not exist is refused") {
  const People people;
  const auto complaint = [&](auto change) {
    ColumnWishes w = wishes();
    change(w);
    return test::complaint_of([&] { uses_of(*people.reader, w); });
  };
  CHECK(complaint([](auto& w) { w.labels = w.ignored = "age"; }).text ==
        "--label and --ignore both name column 1 ('age')");
  CHECK(complaint([](auto& w) { w.ignored = "-1"; }).code == Exit::usage);
  CHECK(complaint([](auto& w) { w.ignored = "id,age,work,code"; }).code == Exit::data);
  CHECK(test::contains(complaint([](auto& w) { w.key = "patient"; }).text, "there is no column 'patient'; there are 'id'"));
}

TEST_CASE("columns: a schema file says what its writer said, and options come before it") {
  const People people;
  ColumnWishes w = wishes();
  w.ignored = "id";
  w.indicators = "age";
  const std::vector<ColumnUse> uses = uses_of(*people.reader, w);
  test::write_quickly(people.dir / "s.json", schema_file(*people.reader, uses, w.missing));
  const SchemaFile file = read_schema_file(people.dir / "s.json");
  CHECK(file.header == true);
  CHECK(file.separator == ',');
  CHECK(file.missing == w.missing);
  ColumnWishes from_file = wishes();
  from_file.file = people.dir / "s.json";
  CHECK(text_of(uses_of(*people.reader, from_file)) == text_of(uses));
  from_file.labels = "work";
  CHECK(text_of(uses_of(*people.reader, from_file)) == "in+tni");
}

TEST_CASE("columns: a schema file that is not one is refused with its place") {
  const test::Scratch dir;
  const auto refused = [&](const std::string& text) {
    test::write_quickly(dir / "s.json", text);
    const auto complaint = test::complaint_of([&] { read_schema_file(dir / "s.json"); });
    CHECK(complaint.code == Exit::data);
    return complaint.text;
  };
  CHECK(test::contains(refused("{}"), "'format'"));
  CHECK(test::contains(refused(R"({"format":"dl schema","version":2,"columns":[]})"), "version 1"));
  const auto column = [](const std::string& one) {
    return R"({"format":"dl schema","version":1,"columns":[)" + one + "]}";
  };
  CHECK(test::contains(refused(column(R"({"name":"a","index":0,"use":"text"})")), "'use' is 'text'"));
  CHECK(test::contains(refused(column(R"({"name":"a","index":0,"kind":"number"})")), "unknown key 'kind'"));
  CHECK(test::contains(refused(column(R"({"name":"a","index":0,"use":"key"},{"name":"b","index":1,"use":"key"})")),
                       "more than one weight or key"));
}

TEST_CASE("columns: a schema file that says two things of a column is refused") {
  const People people;
  test::write_quickly(people.dir / "s.json",
                      R"({"format":"dl schema","version":1,"columns":[{"name":"age","index":1,"use":"number"},)"
                      R"({"name":"age","index":1,"use":"weight"}]})");
  ColumnWishes w = wishes();
  w.file = people.dir / "s.json";
  const auto complaint = test::complaint_of([&] { uses_of(*people.reader, w); });
  CHECK(complaint.code == Exit::data);
  CHECK(test::contains(complaint.text, "column 'age' stands twice"));
}

TEST_CASE("columns: cells lie as the row's layout says") {
  const People people;
  ColumnWishes w = wishes();
  w.labels = "age,code";
  w.weight = "income";
  w.key = "id";
  const ColumnPlan plan = plan_columns(*people.reader, uses_of(*people.reader, w), w.missing);
  using Cell = CellUse::Kind;
  CHECK(plan.schema.task == Task::regression);
  CHECK(plan.schema.outputs() == 2);
  CHECK(plan.cells[2].kind == Cell::category);
  CHECK(plan.cells[2].dictionary == plan.dictionaries.data());
  const std::vector<std::pair<Cell, std::uint32_t>> wanted = {
      {Cell::key, 4}, {Cell::number, 1}, {Cell::category, 0}, {Cell::number, 2}, {Cell::number, 3}};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CAPTURE(i);
    CHECK(plan.cells[i].kind == wanted[i].first);
    CHECK(plan.cells[i].place == wanted[i].second);
  }
}
