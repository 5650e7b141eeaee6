// SPDX-License-Identifier: MIT
// What each column of a table is for: inferred from the table's beginning, put right by what the user
// says, in a file (dl-shard --schema) or by options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/csv_reader.h"
#include "data/dictionary.h"
#include "data/schema.h"

namespace dl::data {

enum class Use { number, category, ignore, target, weight, key };

struct ColumnUse {
  std::string name;
  std::uint32_t index = 0;
  Use use = Use::number;
  bool indicator = false;
};

// Lists are columns' names or numbers, separated by commas; a name may hold commas itself.
struct ColumnWishes {
  std::string labels;       // to be predicted; empty: the last column
  std::string ignored, categories, numbers;
  std::string indicators;   // columns that get a feature for 'missing'; "all"
  std::string weight, key;  // one column each, or none
  fs::path file;            // what --write-schema wrote, and someone changed; empty: none
  std::vector<std::string> missing = {"?", "NA", ""};
  bool operator==(const ColumnWishes&) const = default;
};

// A column is a category where most of the cells at the table's beginning are words, else a number:
// one bad cell does not make numbers words, it is refused when it is read. The file comes before what is inferred, options before the file. 65 where a column does not
// exist, 64 where one is wanted for two things, or nothing is left to learn from.
std::vector<ColumnUse> uses_of(const CsvReader& reader, const ColumnWishes& wishes);

// A column's name in the first row tells that it names columns.
std::string telling_name(const ColumnWishes& wishes);

struct ColumnPlan {
  Schema schema;                         // without what only the rows tell
  std::vector<CellUse> cells;            // for the reader; points into:
  std::vector<Dictionary> dictionaries;  // by the schema's column
};
// Cells are laid out as RowLayout says.
ColumnPlan plan_columns(const CsvReader& reader, const std::vector<ColumnUse>& uses,
                        const std::vector<std::string>& missing);

// The file's text (dl-shard(1), SCHEMA FILES), and back; 65 where it is not as it must be.
std::string schema_file(const CsvReader& reader, const std::vector<ColumnUse>& uses,
                        const std::vector<std::string>& missing);
struct SchemaFile {
  std::optional<bool> header;
  std::optional<char> separator;
  std::optional<std::vector<std::string>> missing;
  std::vector<ColumnUse> uses;
};
SchemaFile read_schema_file(const fs::path& path);

}  // namespace dl::data
