// SPDX-License-Identifier: MIT
// Raw rows of a table or of images, read again as a schema says: what dl-eval predicts from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/known_input.h"
#include "data/schema.h"

namespace dl::data {

// Some rows, transformed; vectors are reused from call to call.
struct RawChunk {
  std::uint32_t rows = 0;
  std::vector<float> features;         // rows x schema.features(), row-major
  std::vector<std::uint32_t> classes;  // classification with labels: rows; else empty
  std::vector<float> numbers;          // regression with labels: rows x outputs, scaled as shards are; else empty
  std::vector<float> weights;          // where the schema has a weight column and the files too: rows
};

// Reads files one after the other, gzip and zstd told by their magic, "-" is standard input; holds one
// buffer, whatever the size of the input. Not thread-safe.
//
// csv: where the files name their columns and the schema knows names (no two alike), columns are found
// by name, in any order, and others are ignored. Otherwise rows must have the schema's columns in their
// places, with the targets' columns or all without them.
// npy with the target in a column: the same, by places. idx and other npy: samples of the schema's shape.
// libsvm: indices behind the schema's are passed over; rows have a label, or (all of them) none.
class RawRows {
 public:
  // Opens the first file and looks at its beginning: 66 where it cannot be read, 65 where it does
  // not fit the schema.
  RawRows(const Schema& schema, std::vector<std::string> files, RawOptions options = {});
  ~RawRows();
  RawRows(RawRows&&) noexcept;

  bool has_targets() const;  // known from the start
  // Replaces `out` by the next rows, at most `most`; 0 at the end. 65 names file, row and column of
  // what is no number, of a class that the schema does not know, and so on.
  std::uint32_t read(std::uint32_t most, RawChunk& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dl::data
