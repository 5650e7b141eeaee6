// SPDX-License-Identifier: MIT
#include "nn/blocking.h"

#include <algorithm>

#include "base/error.h"

namespace dl::nn {

namespace {

std::uint64_t weights_of(const DenseSpec& layer) { return std::uint64_t{layer.inputs} * layer.outputs; }

// That each weight of a layer is a factor in.
std::uint64_t products_of(std::size_t layer) { return layer == 0 ? 2 : 3; }

// The pairs of most weights: best[l] for the first l layers, with or without a pair that ends there.
std::vector<std::size_t> choose_pairs(std::span<const DenseSpec> layers, std::uint32_t blocks) {
  std::vector<std::uint64_t> best(layers.size() + 1, 0);
  std::vector<bool> ends_pair(layers.size() + 1, false);
  for (std::size_t l = 2; l <= layers.size(); ++l) {
    best[l] = best[l - 1];
    if (layers[l - 2].outputs < blocks) continue;
    const std::uint64_t paired = best[l - 2] + weights_of(layers[l - 2]) + weights_of(layers[l - 1]);
    ends_pair[l] = paired > best[l];
    best[l] = std::max(best[l], paired);
  }
  std::vector<std::size_t> pairs;
  for (std::size_t l = layers.size(); l >= 2;) {
    if (ends_pair[l]) pairs.push_back(l - 2);
    l -= ends_pair[l] ? 2 : 1;
  }
  std::reverse(pairs.begin(), pairs.end());
  return pairs;
}

}  // namespace

Blocking::Blocking(const ModelSpec& spec, std::uint32_t blocks)
    : spec_(spec), blocks_(std::max(1U, blocks)), role_(spec.layers.size(), Role::common) {
  pairs_ = choose_pairs(spec.layers, blocks_);
  if (spec.layers.size() < 2) {
    fail(Exit::usage, "--mode tensor cuts the hidden units between two dense layers, and this model has one layer; "
         "--model 'dense 64 relu' has a second one");
  }
  if (pairs_.empty()) {
    std::uint32_t most = 0;
    for (std::size_t l = 0; l + 1 < spec.layers.size(); ++l) most = std::max(most, spec.layers[l].outputs);
    fail(Exit::usage, "--blocks {}: the widest hidden layer has {} units, and a block has at least one", blocks, most);
  }
  std::uint64_t offset = 0;
  for (const DenseSpec& layer : spec.layers) {
    offsets_.push_back(offset);
    offset += weights_of(layer) + layer.outputs;
  }
  for (const std::size_t l : pairs_) {
    role_[l] = Role::first;
    role_[l + 1] = Role::second;
  }
}

std::uint32_t Blocking::unit(std::size_t layer, std::uint32_t block) const {
  return static_cast<std::uint32_t>(std::uint64_t{spec_.layers[layer].outputs} * block / blocks_);
}

std::vector<Blocking::Run> Blocking::common() const {
  std::vector<Run> runs;
  for (std::size_t l = 0; l < role_.size(); ++l) {
    const std::uint64_t weights = weights_of(spec_.layers[l]), outputs = spec_.layers[l].outputs;
    if (role_[l] == Role::common) runs.push_back({offsets_[l], weights + outputs});
    if (role_[l] == Role::second) runs.push_back({offsets_[l] + weights, outputs});
  }
  return runs;
}

std::vector<Blocking::Run> Blocking::block(std::uint32_t block) const {
  std::vector<Run> runs;
  for (const std::size_t l : pairs_) {
    const DenseSpec& first = spec_.layers[l];
    const DenseSpec& second = spec_.layers[l + 1];
    const std::uint64_t begin = unit(l, block), units = unit(l, block + 1) - begin;
    runs.push_back({offsets_[l] + begin * first.inputs, units * first.inputs});
    runs.push_back({offsets_[l] + weights_of(first) + begin, units});
    for (std::uint64_t o = 0; o < second.outputs; ++o) {
      runs.push_back({offsets_[l + 1] + o * second.inputs + begin, units});
    }
  }
  return runs;
}

std::uint64_t Blocking::common_floats() const { return total(common()); }
std::uint64_t Blocking::block_floats(std::uint32_t b) const { return total(block(b)); }

std::uint64_t Blocking::common_work() const {
  std::uint64_t work = 0;
  for (std::size_t l = 0; l < role_.size(); ++l) {
    if (role_[l] == Role::common) work += products_of(l) * weights_of(spec_.layers[l]);
  }
  return work;
}

std::uint64_t Blocking::block_work(std::uint32_t block) const {
  std::uint64_t work = 0;
  for (const std::size_t l : pairs_) {
    const std::uint64_t of_unit = products_of(l) * spec_.layers[l].inputs + products_of(l + 1) * spec_.layers[l + 1].outputs;
    work += of_unit * (unit(l, block + 1) - unit(l, block));
  }
  return work;
}

std::vector<std::uint32_t> Blocking::sums() const {
  std::vector<std::uint32_t> widths;
  for (const std::size_t l : pairs_) widths.push_back(spec_.layers[l + 1].outputs);
  for (std::size_t p = pairs_.size(); p-- > 0;) {
    if (pairs_[p] > 0) widths.push_back(spec_.layers[pairs_[p]].inputs);
  }
  return widths;
}

std::uint64_t total(std::span<const Blocking::Run> runs) {
  std::uint64_t floats = 0;
  for (const Blocking::Run& run : runs) floats += run.size;
  return floats;
}

void gather(std::span<const Blocking::Run> runs, std::span<const float> flat, float* blocked) {
  for (const Blocking::Run& run : runs) blocked = std::copy_n(flat.data() + run.begin, run.size, blocked);
}

void scatter(std::span<const Blocking::Run> runs, const float* blocked, std::span<float> flat) {
  for (const Blocking::Run& run : runs) {
    std::copy_n(blocked, run.size, flat.data() + run.begin);
    blocked += run.size;
  }
}

}  // namespace dl::nn
