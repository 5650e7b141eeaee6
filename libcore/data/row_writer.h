// SPDX-License-Identifier: MIT
// Rows of an intake into the shard files of an output, as the schema says.
#pragma once

#include <atomic>
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

// Threads divide the files among them, so that the bytes do not depend on how many there are.
class RowWriter {
 public:
  // A file for each place of the placement that has rows, and for each shard: `names` and `rows` by place.
  // 65 where one has more rows than a shard may have.
  RowWriter(Intake& intake, Output& output, const std::vector<std::string>& names,
            const std::vector<std::uint64_t>& rows, std::uint32_t shards);

  // All rows of the intake, placed anew from the first one; 65 where one does not fit a float32.
  // `threads` 0: as many as there are cores, up to four (more would wait for the memory).
  void write(const Placement& placement, const RowKeys* keys, unsigned threads);

 private:
  void write_part(Placement placement, const RowKeys* keys, unsigned member, unsigned members,
                  const std::atomic<bool>& stop) const;
  void write_row(ShardWriter& to, const double* row, const Label& label, std::uint64_t number,
                 std::vector<float>& numbers) const;
  [[noreturn]] void refuse(const float* features, std::uint64_t number) const;
  [[noreturn]] void refuse(const std::string& name, std::uint64_t number) const;

  const Intake& intake_;
  Encoder encoder_;
  std::vector<ShardWriter*> files_;  // by place; null: no rows
};


}  // namespace dl::data
