// SPDX-License-Identifier: MIT
#include "data/column_plan.h"

#include <algorithm>

#include "base/error.h"
#include "data/record.h"
#include "data/row_source.h"

namespace dl::data {

namespace {

constexpr std::size_t kLookedAt = 4096;  // rows that tell what a column is

bool has_name(const CsvReader& reader, const std::string& text) {
  const auto& names = reader.names();
  return reader.header() && std::find(names.begin(), names.end(), text) != names.end();
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

std::vector<std::uint32_t> columns_of(const CsvReader& reader, const std::string& list) {
  std::vector<std::uint32_t> columns;
  if (list.empty()) return columns;
  if (has_name(reader, list)) return {reader.find_column(list)};
  for (const std::string& text : split(list)) columns.push_back(reader.find_column(text));
  return columns;
}

std::vector<ColumnUse> inferred(const CsvReader& reader, const std::vector<std::string>& missing) {
  std::vector<std::int64_t> balance(reader.columns());  // numbers less words
  for (const Record& record : reader.look(kLookedAt)) {
    for (std::size_t i = 0; i < std::min(balance.size(), record.cells.size()); ++i) {
      const std::string& cell = record.cells[i];
      if (std::find(missing.begin(), missing.end(), cell) != missing.end()) continue;
      balance[i] += is_word(cell) ? -1 : 1;
    }
  }
  std::vector<ColumnUse> uses;
  for (std::uint32_t i = 0; i < reader.columns(); ++i) {
    uses.push_back({reader.names()[i], i, balance[i] >= 0 ? Use::number : Use::category, false});
  }
  return uses;
}

// What a file says of columns that the table has, by name where both have names.
void overlay(std::vector<ColumnUse>& uses, const CsvReader& reader, const SchemaFile& file,
             const std::string& path) {
  std::vector<bool> seen(uses.size());
  for (const ColumnUse& said : file.uses) {
    const std::uint32_t column =
        has_name(reader, said.name) ? reader.find_column(said.name) : said.index;
    if (column >= uses.size() || (reader.header() && uses[column].name != said.name)) {
      fail(Exit::data, "{}: there is no column {} in {}", path, shown(said.name), reader.file());
    }
    if (seen[column]) fail(Exit::data, "{}: column {} stands twice", path, shown(said.name));
    seen[column] = true;
    uses[column].use = said.use;
    uses[column].indicator = said.indicator;
  }
}

// Columns that an option names, each for one thing only.
class Choice {
 public:
  Choice(const CsvReader& reader, std::vector<ColumnUse>& uses)
      : reader_(reader), uses_(uses), chosen_(uses.size()) {}

  void set(const std::string& list, Use use, const char* option) {
    const std::vector<std::uint32_t> columns = columns_of(reader_, list);
    const bool single = use == Use::target || use == Use::weight || use == Use::key;
    if (single && !columns.empty()) {  // instead of what the file says
      for (ColumnUse& one : uses_) {
        if (one.use == use) one.use = Use::ignore;
      }
    }
    for (const std::uint32_t column : columns) {
      if (chosen_[column] != nullptr) {
        fail(Exit::usage, "--{} and --{} both name {}", chosen_[column], option,
             reader_.column_place(column));
      }
      chosen_[column] = option;
      uses_[column].use = use;
    }
  }

 private:
  const CsvReader& reader_;
  std::vector<ColumnUse>& uses_;
  std::vector<const char*> chosen_;
};

bool has_use(const std::vector<ColumnUse>& uses, Use use) {
  return std::any_of(uses.begin(), uses.end(), [use](const ColumnUse& one) { return one.use == use; });
}

}  // namespace

std::string telling_name(const ColumnWishes& wishes) {
  for (const std::string* list : {&wishes.labels, &wishes.ignored, &wishes.categories, &wishes.numbers,
                                  &wishes.weight, &wishes.key}) {
    for (const std::string& text : split(*list)) {
      if (!text.empty() && !parse_number(text)) return text;
    }
  }
  return "";
}

std::vector<ColumnUse> uses_of(const CsvReader& reader, const ColumnWishes& wishes) {
  std::vector<ColumnUse> uses = inferred(reader, wishes.missing);
  if (!wishes.file.empty()) overlay(uses, reader, read_schema_file(wishes.file), wishes.file.string());
  Choice choice(reader, uses);
  choice.set(wishes.labels, Use::target, "label");
  choice.set(wishes.weight, Use::weight, "weight");
  choice.set(wishes.key, Use::key, "key");
  choice.set(wishes.ignored, Use::ignore, "ignore");
  choice.set(wishes.categories, Use::category, "category");
  choice.set(wishes.numbers, Use::number, "number");
  if (!has_use(uses, Use::target)) {
    if (uses.back().use == Use::ignore || uses.back().use == Use::weight || uses.back().use == Use::key) {
      fail(Exit::usage, "the last column, {}, is to be predicted unless --label names another one",
           reader.column_place(static_cast<std::uint32_t>(uses.size() - 1)));
    }
    uses.back().use = Use::target;
  }
  if (wishes.indicators == "all" && !has_name(reader, "all")) {
    for (ColumnUse& one : uses) one.indicator = true;
  } else {
    for (const std::uint32_t column : columns_of(reader, wishes.indicators)) uses[column].indicator = true;
  }
  if (!has_use(uses, Use::number) && !has_use(uses, Use::category)) {
    fail(Exit::data, "{}: no column is left to learn from", reader.file());
  }
  return uses;
}

ColumnPlan plan_columns(const CsvReader& reader, const std::vector<ColumnUse>& uses,
                        const std::vector<std::string>& missing) {
  ColumnPlan plan;
  Schema& schema = plan.schema;
  schema.input.separator = reader.separator();
  schema.input.header = reader.header();
  schema.input.columns = reader.columns();
  schema.input.missing = missing;
  schema.targets.clear();
  for (const ColumnUse& use : uses) {
    const PlainColumn plain{use.name, use.index};
    switch (use.use) {
      case Use::target: schema.targets.push_back({use.name, use.index, {}, {}}); break;
      case Use::weight: schema.weight = plain; break;
      case Use::key: schema.key = plain; break;
      case Use::ignore: schema.ignored.push_back(plain); break;
      default: {
        Column& column = schema.columns.emplace_back();
        column.name = use.name;
        column.index = use.index;
        column.kind = use.use == Use::number ? Kind::number : Kind::category;
        column.indicator = use.indicator;
      }
    }
  }
  if (schema.targets.size() > kMostTargetColumns) {
    fail(Exit::data, "{}: {} columns to predict; at most {}", reader.file(), schema.targets.size(),
         kMostTargetColumns);
  }
  if (schema.targets.size() > 1) schema.task = Task::regression;

  using Cell = CellUse::Kind;
  plan.dictionaries.resize(schema.columns.size());
  plan.cells.resize(reader.columns());
  const RowLayout layout = RowLayout::of(schema);
  std::uint32_t place = 0;
  for (const Column& column : schema.columns) {
    const bool number = column.kind == Kind::number;
    plan.cells[column.index] = {number ? Cell::number : Cell::category, place,
                                number ? nullptr : &plan.dictionaries[place]};
    ++place;
  }
  for (const Target& target : schema.targets) {
    plan.cells[target.index] = layout.targets > 0 ? CellUse{Cell::number, place++, nullptr}
                                                  : CellUse{Cell::label, 0, nullptr};
  }
  if (schema.weight) plan.cells[schema.weight->index] = {Cell::number, layout.weight_place(), nullptr};
  if (schema.key) plan.cells[schema.key->index] = {Cell::key, layout.key_place(), nullptr};
  return plan;
}

}  // namespace dl::data
