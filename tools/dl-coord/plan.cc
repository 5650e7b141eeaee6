// SPDX-License-Identifier: MIT
#include "plan.h"

#include "data/sampler.h"
#include "nn/blocking.h"
#include "train/compression.h"
#include "train/state_layout.h"

#ifndef DL_VERSION
#define DL_VERSION "unknown"
#endif

namespace dl::tool {

namespace {

// A multiply-add is two operations; forward, gradient of the weights, and of what came in, which the first
// layer leaves out. Activations go up, gradients by them down.
std::vector<coord::LayerCost> layer_costs(const Options& o) {
  std::vector<coord::LayerCost> costs;
  const double rows = static_cast<double>(o.config.batch);
  for (const nn::DenseSpec& dense : o.config.model_spec().layers) {
    const double products = costs.empty() ? 2 : 3;
    costs.push_back({products * 2 * rows * dense.inputs * dense.outputs, 2 * 4 * rows * dense.outputs});
  }
  return costs;
}

coord::BlockCosts block_costs(const Options& o) {
  const nn::Blocking blocking(o.config.model_spec(), o.config.agreement.blocks);
  const double rows = static_cast<double>(o.config.batch);
  coord::BlockCosts costs;
  costs.common_flops = 2 * rows * static_cast<double>(blocking.common_work());
  for (std::uint32_t b = 0; b < blocking.blocks(); ++b) {
    costs.flops.push_back(2 * rows * static_cast<double>(blocking.block_work(b)));
  }
  for (const std::uint32_t width : blocking.sums()) costs.part_bytes += 4 * rows * width;
  return costs;
}

}  // namespace

coord::Plan plan_of(const Options& o, const std::string& run_id, std::uint32_t generation) {
  coord::Plan plan;
  plan.run_id = run_id;
  plan.config = dump_line(o.config.to_json());
  plan.version = "dl " DL_VERSION;
  plan.manifest_sha256 = o.config.manifest_sha256;
  plan.parameters = o.config.model_spec().parameter_count();
  plan.arithmetic = o.config.arithmetic;
  for (const data::ShardEntry& shard : o.manifest.shards) plan.shard_samples.push_back(shard.samples);
  plan.units = train::shards_together(o.config, static_cast<std::uint32_t>(o.manifest.shards.size()));
  if (o.config.mode == "pipeline") plan.layers = layer_costs(o);
  plan.stages = o.stages;
  if (o.config.mode == "tensor") plan.blocks = block_costs(o);
  plan.assignment = o.assignment;
  plan.steps_per_epoch = data::steps_per_epoch(o.manifest.training_samples(), o.config.batch);
  plan.total_steps = o.config.schedule.total;
  plan.generation = generation;
  plan.seed = o.config.seed;
  plan.nodes = o.nodes;
  plan.min_nodes = o.min_nodes;
  plan.wait_ns = static_cast<std::int64_t>(o.wait_seconds * 1e9);
  plan.heartbeat_ms = o.heartbeat_ms;
  plan.on_loss = o.on_loss;
  plan.dead_after_ns = static_cast<std::int64_t>(o.dead_after_seconds * 1e9);
  plan.held_apart = train::held_apart(o.config);
  plan.hung_after_ns = static_cast<std::int64_t>(o.hung_after_seconds * 1e9);
  return plan;
}

std::shared_ptr<const coord::Files> files_of(const Options& o) {
  auto files = std::make_shared<coord::Files>();
  files->add_text(o.config.manifest_sha256, o.manifest_text);
  const fs::path directory = o.config.data;
  for (const auto* part : {&o.manifest.shards, &o.manifest.test, &o.manifest.validation}) {
    for (const data::ShardEntry& entry : *part) files->add(entry.sha256, directory / entry.file);
  }
  return files;
}

}  // namespace dl::tool
