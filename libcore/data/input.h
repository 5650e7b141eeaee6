// SPDX-License-Identifier: MIT
// From what stands on the command line to rows: the format is told, the label's column found.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/byte_source.h"
#include "data/column_plan.h"
#include "data/dictionary.h"
#include "data/row_source.h"
#include "data/schema.h"

namespace dl::data {

struct InputOptions {
  std::vector<std::string> files;   // "-" is standard input
  std::string format = "auto";      // auto, csv, tsv, libsvm, idx, npy
  std::optional<bool> header;       // tables
  std::optional<char> separator;    // tables
  ColumnWishes columns;             // tables
  std::string labels;               // arrays (idx, npy): the file of labels
  ReadOptions reading;
};

struct OpenedInput {
  std::string name;  // of the first file, for messages
  std::unique_ptr<RowSource> rows;
  Schema schema;  // without what only the rows tell: classes, scalings, categories
  std::vector<Dictionary> dictionaries;  // by column; grow as rows are read
};

// 64 where the options do not fit the format, 65 and 66 as the readers do.
OpenedInput open_input(const InputOptions& options);

// The text for --write-schema: what is inferred of a table, and what the options say.
std::string inferred_schema(const InputOptions& options);

// Bytes of the files as they lie on disk; 0 where one is no regular file.
std::uint64_t input_bytes(const std::vector<std::string>& files);

}  // namespace dl::data
