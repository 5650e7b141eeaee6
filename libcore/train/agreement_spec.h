// SPDX-License-Identifier: MIT
// How nodes agree (dl-coord --mode), and what each way has to be told. No linear algebra here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace dl::train {

// What a mode does not know of is left at its default, and so says nothing.
struct AgreementSpec {
  std::string compress = "none";     // of sums: none, bf16, int8, topk=RATIO, powersgd=RANK
  std::uint32_t groups = 4;          // of shards that are compressed together
  std::uint64_t local_steps = 8;     // local: steps of each shard between two averages
  double outer_lr = 1;               // local: of the step from the old average to the new one
  double outer_momentum = 0;         // local: of that step (Nesterov)
  std::uint32_t blocks = 8;          // tensor: of hidden units

  // async: steps that a rank may be ahead of the slowest; none: any number.
  std::optional<std::uint64_t> max_staleness = 2;
  double delay_compensation = 0;     // async: lambda of DC-ASGD; 0: none

  bool operator==(const AgreementSpec&) const = default;
  Json to_json() const;
  static AgreementSpec from_json(const Json& json, const std::string& what);
};

}  // namespace dl::train
