// SPDX-License-Identifier: MIT
#include "train/state_layout.h"

#include "train/compression.h"

namespace dl::train {

std::vector<StateVector> extra_vectors(const RunConfig& config) {
  std::vector<StateVector> out;
  const std::uint64_t parameters = config.model_spec().parameter_count();
  if (compresses(config)) out = compression_vectors(config, compression_of(config), parameters);
  if (config.mode == "local" && config.agreement.outer_momentum > 0) out.push_back({"outer_momentum", parameters});
  if (config.on_nan == "rollback") {
    std::uint64_t floats = parameters * (1 + optim::slot_names(config.optimizer.kind).size());
    for (const StateVector& extra : out) floats += extra.floats;
    out.push_back({"rollback", floats});
  }
  return out;
}

std::uint64_t state_floats(const RunConfig& config) {
  const std::uint64_t slots = optim::slot_names(config.optimizer.kind).size();
  std::uint64_t floats = config.model_spec().parameter_count() * (1 + slots);
  for (const StateVector& extra : extra_vectors(config)) floats += extra.floats;
  return floats;
}

bool held_apart(const RunConfig& config) {
  return (config.mode != "sync" && config.mode != "local") || compresses(config);
}

}  // namespace dl::train
