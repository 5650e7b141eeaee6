// SPDX-License-Identifier: MIT
#include "train/refusal.h"

#include <algorithm>

namespace dl::train {

std::optional<Refusal> refusal_of(const StepTotals& totals) {
  if (totals.bad_shard == UINT32_MAX) return std::nullopt;
  return Refusal{"loss", totals.bad_shard};
}

Refusal refusal_of_sums(comm::Communicator& communicator, std::optional<std::uint32_t> first_of_mine) {
  Bytes mine;
  put(mine, first_of_mine.value_or(UINT32_MAX));
  const std::vector<std::uint32_t> sizes(communicator.size(), sizeof(std::uint32_t));
  ByteReader all(communicator.gather(mine, sizes), "the shards of a refused round");
  std::uint32_t first = UINT32_MAX;
  for (std::uint32_t r = 0; r < communicator.size(); ++r) first = std::min(first, all.get<std::uint32_t>());
  if (first == UINT32_MAX) return {"gradient", std::nullopt};
  return {"gradient", first};
}

}  // namespace dl::train
