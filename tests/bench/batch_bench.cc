// SPDX-License-Identifier: MIT
// Reading the batches of a training run from shards, in the order of an epoch: gigabytes of features a
// second on one thread, and its share of a training step of 784-512-512-10. The shards (47 MB at 15,000
// rows) lie in the page cache, not in the processor's.
#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "base/rng.h"
#include "data/manifest.h"
#include "data/shard_writer.h"
#include "linalg/buffer.h"
#include "nn/model.h"
#include "optim/optimizer.h"
#include "support/scratch.h"
#include "train/batch_reader.h"
#include "turns.h"

namespace {

using namespace dl;

constexpr std::uint32_t kFeatures = 784, kClasses = 10, kShards = 8, kBatch = 128;

void make_shards(const fs::path& directory, std::uint32_t rows) {
  data::Manifest manifest;
  manifest.by = "contiguous";
  for (std::uint32_t f = 0; f < kFeatures; ++f) {
    data::Column& column = manifest.schema.columns.emplace_back();
    column.name = std::to_string(f);
    column.index = f;
  }
  manifest.schema.input.columns = kFeatures + 1;
  manifest.schema.targets[0].index = kFeatures;
  manifest.schema.targets[0].name = "class";
  for (std::uint32_t c = 0; c < kClasses; ++c) manifest.schema.targets[0].classes.push_back(std::to_string(c));
  Rng rng(1, Purpose::test);
  for (std::uint32_t s = 0; s < kShards; ++s) {
    data::ShardShape shape;
    shape.rows = rows / kShards;
    shape.features = kFeatures;
    shape.classes = kClasses;
    shape.block_rows = data::usual_block_rows(kFeatures, kShards);
    data::ShardWriter writer(directory / fmt::format("shard-{:04}.dls", s), shape);
    for (std::uint32_t row = 0; row < shape.rows; ++row) {
      for (std::uint32_t f = 0; f < kFeatures; ++f) writer.row()[f] = rng.uniform(-1, 1);
      writer.end_row(static_cast<std::uint32_t>(rng.below(kClasses)));
    }
    manifest.shards.push_back(writer.commit());
  }
  write_file(directory / "manifest.json", manifest.to_json().dump());
}

// One update, with the batch read or with the one that is at hand.
class Training {
 public:
  Training(const nn::ModelSpec& spec, Workers& workers)
      : model_(spec, linalg::choose("automatic", "defined"), workers),
        gradient_(spec.parameter_count()),
        momentum_(spec.parameter_count()) {
    model_.initialise(1);
  }
  void step(const nn::Batch& batch) {
    float* const partial = gradient_.data();
    model_.backprop(batch, groups_, {&partial, 1}, losses_, [](std::size_t) {});
    const std::span<float> slot = momentum_.span();
    optim::update(optimizer_, {1, 1e-4F, 1.0F / static_cast<float>(batch.rows)}, model_.parameters(),
                  gradient_.span(), {&slot, 1});
  }

 private:
  nn::Model model_;
  linalg::Buffer gradient_, momentum_;
  std::array<double, kShards> losses_{};
  std::array<std::uint32_t, 1> groups_{kShards};
  optim::OptimizerSpec optimizer_{.kind = optim::Kind::momentum};
};

}  // namespace

// batch-bench [ROWS=15000] [TURNS=31]
int main(int argc, char** argv) {
  flush_denormals();
  const auto rows = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 15000);
  const auto turns = static_cast<unsigned>(argc > 2 ? std::atoi(argv[2]) : 31);
  const test::Scratch scratch;
  make_shards(scratch.path(), rows);
  train::TrainingData data(scratch.path(), data::manifest_digest(scratch.path()));
  const std::vector<std::uint32_t> shards = {0, 1, 2, 3, 4, 5, 6, 7};
  data.hold(shards);
  train::BatchReader reader(data, shards, 1, kBatch);
  Workers workers(1);
  Training training({{kFeatures, kClasses, nn::Loss::softmax_cross_entropy},
                     {{kFeatures, 512, nn::Activation::relu, nn::Initialisation::automatic},
                      {512, 512, nn::Activation::relu, nn::Initialisation::automatic},
                      {512, kClasses, nn::Activation::none, nn::Initialisation::automatic}}},
                    workers);
  std::uint64_t step = 0;
  const nn::Batch* batch = &reader.read(step);
  std::vector<bench::Contender> runs = {{[&] { batch = &reader.read(step++); }, {}, 1},
                                        {[&] { training.step(*batch); }, {}, 1}};
  bench::take_turns(runs, turns, 0.02);
  const double read = bench::median(runs[0].seconds), compute = bench::median(runs[1].seconds);
  fmt::print("batches of {} rows of {} features: {:.1f} GB/s, {:.1f} us a batch\n", kBatch, kFeatures,
             kBatch * kFeatures * 4e-9 / read, read * 1e6);
  fmt::print("a training step: {:.0f} us; reading is {:.1f} % of both\n", compute * 1e6,
             100 * read / (read + compute));
}
