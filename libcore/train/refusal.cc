// SPDX-License-Identifier: MIT
#include "train/refusal.h"

#include <algorithm>

#include "linalg/buffer.h"
#include "optim/optimizer.h"
#include "train/batch_reader.h"

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

std::optional<std::uint32_t> first_bad_shard(const Seat& seat, std::uint64_t step) {
  linalg::Buffer gradient(seat.replica.model().parameters().size());
  for (const std::uint32_t shard : seat.group.shards_of(seat.group.rank)) {
    BatchReader reader(seat.data, {shard}, seat.config.seed, seat.config.batch);
    const nn::Batch& batch = reader.read(step);
    if (!(reader.segment_weights()[0] > 0)) continue;
    const std::vector<std::uint32_t> lone{1};
    float* const to = gradient.data();
    double loss = 0;
    seat.replica.model().backprop(batch, lone, {&to, 1}, {&loss, 1}, [](std::size_t) {});
    if (!optim::all_finite(gradient.span())) return shard;
  }
  return std::nullopt;
}

}  // namespace dl::train
