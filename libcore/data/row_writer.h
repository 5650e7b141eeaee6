// SPDX-License-Identifier: MIT
// Rows of an intake into the shard files of an output, as the schema says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/encoder.h"
#include "data/intake.h"
#include "data/output.h"
#include "data/placement.h"

namespace dl::data {

// Where a row goes by its label and key. `keys`: of whole rows, where those are the keys.
std::uint32_t next_place(Placement& placement, const Intake& intake, RowKeys* keys, const double* row,
                         const Label& label);

class RowWriter {
 public:
  // A file for each place of the placement that has rows, and for each shard: `names` and `rows` by place.
  // 65 where one has more rows than a shard may have.
  RowWriter(Intake& intake, Output& output, const std::vector<std::string>& names,
            const std::vector<std::uint64_t>& rows, std::uint32_t shards);

  // The next row of the intake; 65 where it does not fit a float32.
  void write(std::uint32_t place, const double* row, const Label& label);

 private:
  [[noreturn]] void refuse(const float* features) const;
  [[noreturn]] void refuse(const std::string& name) const;

  const Intake& intake_;
  Encoder encoder_;
  std::vector<ShardWriter*> files_;  // by place; null: no rows
  std::vector<float> numbers_;
  std::uint64_t row_ = 0;
};

}  // namespace dl::data
