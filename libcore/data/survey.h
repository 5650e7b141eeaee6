// SPDX-License-Identifier: MIT
// What `dl-shard --by auto` looks at, and what it makes of it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/distinct.h"
#include "data/distribution.h"

namespace dl::data {

// A column whose name is one of those that things are told apart by: "id", "user", "Patient ID",
// "machine_id", "session", "group", ...
bool names_a_key(std::string_view name);

struct KeyColumn {
  std::string name;
  std::uint32_t cell = 0;  // its place in a row
  double end = 0;          // a row whose cell is no whole number below this has no key
};

struct Findings {
  TableCounts counts;
  // Of the labels: how often one differs from the one before, against how often it would in random
  // order; of numbers, their mean squared difference. About 1 in random order, near 0 in order.
  double disorder = 1;
  double distinct_rows = 0;  // about
  double repeated_rows = 0;  // share of the rows whose cells all were in a row before; at least
  struct Key {
    KeyColumn column;
    double distinct = 0, repeats = 0;  // the same of this column's values
    bool complete = true;              // each row has a key
  };
  std::vector<Key> keys;
};

// Goes once through all rows, in order; memory of a few MiB for each column looked at.
class Survey {
 public:
  static constexpr std::size_t kMostKeys = 8;  // columns beyond are not looked at
  explicit Survey(std::vector<KeyColumn> columns);

  void add(std::span<const double> cells, double label);  // the label's class, or the number
  Findings finish(const TableCounts& counts) const;

 private:
  struct Looked {
    KeyColumn column;
    DistinctSample values;
    bool complete = true;
  };
  std::vector<Looked> keys_;
  DistinctSample rows_;
  double before_ = 0, mean_ = 0, squares_ = 0, steps_ = 0;
  std::uint64_t changes_ = 0;
};

struct Advice {
  By by = By::random;
  std::optional<KeyColumn> key;    // hash: by this column; by whole rows where there is none
  std::vector<std::string> lines;  // what was seen and why, for people
};

// A column that is a key and comes again: hash by it, so that what belongs together is in one shard, and on
// one side of the test border; of several, the one with the fewest values (patients before visits). Rows
// that repeat others, more than 0.5 % of them: hash by the whole row, for the same reason. Else classes
// are stratified, and numbers dealt out at random. Never contiguous: it needs to be meant.
Advice advise(const Findings& findings, std::uint32_t shards);

}  // namespace dl::data
