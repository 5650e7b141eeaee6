// SPDX-License-Identifier: MIT
// Raw rows of files whose schema is known: for prediction, and for rows that are added to shards.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/byte_source.h"
#include "data/dictionary.h"
#include "data/row_source.h"
#include "data/schema.h"

namespace dl::data {

struct RawOptions {
  std::optional<bool> header;     // csv: whether files begin with names; unset: told from the data
  std::optional<char> separator;  // csv: unset: the schema's
  std::string labels;             // arrays: file of labels; empty: there are none
  ReadOptions reading;
};

// Rows are laid out as RowLayout says, without the numbers to predict where `targets` is false, and
// without the weight where `weights` is.
struct KnownInput {
  std::unique_ptr<RowSource> rows;
  bool targets = false;  // the files have what is to be predicted
  bool weights = false;
};

// The categories of each column, closed.
std::vector<Dictionary> known_categories(const Schema& schema);

// Opens the first file and looks at its beginning: 66 where it cannot be read, 65 where it does not fit
// the schema. `dictionaries` outlive what comes back. `key`: the schema's key column is wanted too (csv).
KnownInput open_known(const Schema& schema, std::span<Dictionary> dictionaries,
                      std::vector<std::string> files, const RawOptions& options, bool key = false);

}  // namespace dl::data
