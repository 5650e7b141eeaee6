// SPDX-License-Identifier: MIT
#include "train/compression.h"

#include <algorithm>

#include "base/error.h"

namespace dl::train {

namespace {

using comm::Scheme;

bool has_momentum(const optim::OptimizerSpec& optimizer) {
  return optimizer.kind == optim::Kind::momentum || optimizer.kind == optim::Kind::nesterov;
}

// In local rounds, momentum is the shards' own.
bool corrects_momentum(const RunConfig& config) {
  return config.mode != "local" && comm::parse_compression(config.agreement.compress).scheme == Scheme::topk &&
         has_momentum(config.optimizer);
}

std::vector<comm::WeightMatrix> matrices_of(const nn::ModelSpec& model) {
  std::vector<comm::WeightMatrix> out;
  for (const nn::TensorSpec& tensor : model.tensors()) {
    if (tensor.shape.size() < 2) continue;
    std::uint64_t cols = 1;
    for (std::size_t i = 1; i < tensor.shape.size(); ++i) cols *= tensor.shape[i];
    out.push_back({tensor.offset, static_cast<std::uint32_t>(tensor.shape[0]), static_cast<std::uint32_t>(cols)});
  }
  return out;
}

}  // namespace

bool compresses(const RunConfig& config) { return config.agreement.compress != "none"; }
std::uint32_t compressed_groups(const RunConfig& config) { return compresses(config) ? config.agreement.groups : 0; }

comm::Compression compression_of(const RunConfig& config, std::uint64_t rounds_per_epoch) {
  comm::Compression out;
  out.settings = {.spec = comm::parse_compression(config.agreement.compress),
                  .seed = config.seed,
                  .momentum = corrects_momentum(config) ? config.optimizer.momentum : 0.0F,
                  .nesterov = config.optimizer.kind == optim::Kind::nesterov,
                  .rounds_per_epoch = rounds_per_epoch};
  if (out.settings.spec.scheme == Scheme::powersgd) out.matrices = matrices_of(config.model_spec());
  return out;
}

std::vector<ShardRange> shards_together(const RunConfig& config, std::uint32_t shards) {
  std::vector<ShardRange> out;
  if (!compresses(config)) return out;
  for (std::uint32_t g = 0; g < config.agreement.groups; ++g) {
    out.push_back(comm::group_of_shards(shards, config.agreement.groups, g));
  }
  return out;
}

std::vector<StateVector> compression_vectors(const RunConfig& config, const comm::Compression& compression,
                                             std::uint64_t floats) {
  std::vector<StateVector> out;
  const auto of_each_group = [&](const char* name) {
    for (std::uint32_t g = 0; g < config.agreement.groups; ++g) out.push_back({fmt::format("{}.{}", name, g), floats});
  };
  of_each_group("residual");
  if (comm::has_velocity(compression)) of_each_group("velocity");
  if (const std::uint64_t basis = comm::basis_size(compression); basis > 0) out.push_back({"basis", basis});
  return out;
}

optim::OptimizerSpec applied_optimizer(const RunConfig& config) {
  optim::OptimizerSpec spec = config.optimizer;
  if (corrects_momentum(config)) {
    spec.weight_decay /= 1.0F - spec.momentum;
    spec.momentum = 0;
  }
  return spec;
}

void check_compression(const RunConfig& config) {
  if (!compresses(config)) return;
  const std::string& how = config.agreement.compress;
  const comm::CompressionSpec spec = comm::parse_compression(how);
  if (config.mode != "sync" && config.mode != "local" && config.mode != "async") {
    fail(Exit::usage, "--compress {}: mode {} knows no compression; sync, async and local do", how, config.mode);
  }
  if (spec.scheme == Scheme::powersgd && config.mode == "async") {
    fail(Exit::usage,
         "--compress {}: its second sum begins with all nodes' first one, and in mode async none waits for others; "
         "bf16, int8 and topk do not need that",
         how);
  }
  if (spec.scheme != Scheme::powersgd) return;
  const auto matrices = matrices_of(config.model_spec());
  if (!comm::low_rank_matrices(matrices, spec.rank).empty()) return;
  std::uint32_t most = 0;  // the highest rank that makes one smaller
  for (std::uint32_t rank = 1; !comm::low_rank_matrices(matrices, rank).empty(); ++rank) most = rank;
  if (most == 0) fail(Exit::usage, "--compress {}: no layer of this model is smaller at any rank", how);
  fail(Exit::usage, "--compress {}: no layer of this model is smaller at this rank; at most {} is of use", how, most);
}

}  // namespace dl::train
