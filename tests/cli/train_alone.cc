// SPDX-License-Identifier: MIT
// A checkpoint for dl-eval's tests, without coordinator or nodes: every step is the whole training
// part, with momentum.
// usage: train-alone MANIFEST_DIR MODEL STEPS RUN
#include <cstdio>
#include <string>

#include "base/error.h"
#include "base/workers.h"
#include "eval/loaded_model.h"
#include "eval/score.h"
#include "nn/model.h"
#include "optim/optimizer.h"

using namespace dl;

namespace {

nn::Batch whole_training_part(const fs::path& directory, const data::Manifest& manifest) {
  nn::Batch batch;
  for (const data::ShardEntry& entry : manifest.shards) {
    const data::Shard shard(directory / entry.file);
    eval::RowBuffer buffer;
    const eval::Rows rows = buffer.load(shard, 0, shard.rows());
    batch.features.insert(batch.features.end(), rows.features.begin(), rows.features.end());
    batch.classes.insert(batch.classes.end(), rows.classes.begin(), rows.classes.end());
    batch.numbers.insert(batch.numbers.end(), rows.numbers.begin(), rows.numbers.end());
    batch.rows += rows.count;
    batch.offsets.push_back(batch.rows);
  }
  return batch;
}

int train(const fs::path& directory, const std::string& text, unsigned steps, const fs::path& run) {
  const data::Manifest manifest = data::read_manifest(directory);
  const nn::ModelSpec spec = nn::parse_model(text, "model", eval::ends_of(manifest.schema));
  const nn::Batch batch = whole_training_part(directory, manifest);
  Workers workers(1);
  flush_denormals();
  nn::Model model(spec, linalg::Arithmetic::defined(), workers);
  model.initialise(1);

  const optim::OptimizerSpec optimizer{.kind = optim::Kind::momentum};
  std::vector<float> gradient(spec.parameter_count());
  checkpoint::Checkpoint checkpoint;
  checkpoint.slot_names = optim::slot_names(optimizer.kind);
  checkpoint.slots.assign(1, std::vector<float>(gradient.size()));
  const std::vector<std::span<float>> slots = {checkpoint.slots[0]};
  const std::vector<std::uint32_t> groups = {batch.segments()};
  const std::vector<float*> partials = {gradient.data()};
  std::vector<double> losses(batch.segments());
  for (unsigned step = 1; step <= steps; ++step) {
    model.backprop(batch, groups, partials, losses, [](std::size_t) {});
    optim::update(optimizer, {step, 0.1F, optim::gradient_scale(batch.rows, 0, 0)},
                  model.parameters(), gradient, slots);
  }

  for (const nn::TensorSpec& tensor : spec.tensors()) {
    checkpoint.tensors.push_back({tensor.name, tensor.shape});
  }
  checkpoint.parameters.assign(model.parameters().begin(), model.parameters().end());
  checkpoint.metadata = {{"model", spec.text()},
                         {"schema", manifest.schema.to_json()},
                         {"options", {{"data", directory.string()}}},
                         {"manifest_sha256", data::manifest_digest(directory)}};
  checkpoint.cursors["step"] = steps;
  fs::create_directories(run);
  checkpoint::Store store(run, 1);
  store.commit(steps, checkpoint);
  store.commit_best(checkpoint);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 64;
  try {
    return train(argv[1], argv[2], static_cast<unsigned>(std::stoul(argv[3])), argv[4]);
  } catch (const Error& error) {
    std::fprintf(stderr, "train-alone: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
