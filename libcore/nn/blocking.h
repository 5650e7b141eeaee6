// SPDX-License-Identifier: MIT
// A model cut for tensor parallelism: pairs of dense layers, and blocks of the hidden units between them
// (Shoeybi et al.: "Megatron-LM", 2019, section 3: the first layer by its columns, the second one by its
// rows). No linear algebra here, so that dl-coord can plan with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nn/model_spec.h"

namespace dl::nn {

// A pure function of the model and the number of blocks B; immutable. A pair is the layers l and l + 1; block
// b of it is units [units * b / B, units * (b + 1) / B) of layer l, and holds their rows of l's weights, their
// biases, and their columns of the weights of l + 1. What no block holds is common: it is kept and computed
// by everyone, and that is the biases of second layers, and layers that are in no pair.
//
// Blocked order: the common elements of the flat parameter array, then those of each block. Within the common
// ones, layer by layer: weights (row-major), biases. Within a block, pair by pair: its rows of the first
// layer's weights, its biases, its columns of the second layer's weights (row-major, outputs x units).
class Blocking {
 public:
  // The pairs are those, without a layer in common and with at least B units each, that leave the fewest
  // weights in common. 64 where there is no pair of that kind.
  Blocking(const ModelSpec& spec, std::uint32_t blocks);

  std::uint32_t blocks() const { return blocks_; }
  std::span<const std::size_t> pairs() const { return pairs_; }  // the first layer of each, ascending
  bool is_first(std::size_t layer) const { return role_[layer] == Role::first; }
  bool is_second(std::size_t layer) const { return role_[layer] == Role::second; }

  // Units [unit(l, b), unit(l, b + 1)) of the pair that begins with layer l are block b.
  std::uint32_t unit(std::size_t layer, std::uint32_t block) const;

  // Consecutive elements of the flat array, in blocked order.
  struct Run {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
  };
  std::vector<Run> common() const;
  std::vector<Run> block(std::uint32_t block) const;
  std::uint64_t common_floats() const;
  std::uint64_t block_floats(std::uint32_t block) const;

  // Multiply-adds that a step costs for each row: forward, for the weights' gradients, and for the gradients
  // by what came in, which nobody needs of the first layer.
  std::uint64_t common_work() const;
  std::uint64_t block_work(std::uint32_t block) const;

  // Floats of a row that ranks have to add up in a step, in the order of the step: going forward, the
  // outputs of each pair; going backward, the inputs of each but one that begins the model.
  std::vector<std::uint32_t> sums() const;

 private:
  enum class Role { common, first, second };

  ModelSpec spec_;
  std::uint32_t blocks_;
  std::vector<std::size_t> pairs_;
  std::vector<Role> role_;              // by layer
  std::vector<std::uint64_t> offsets_;  // of each layer's weights in the flat array
};

std::uint64_t total(std::span<const Blocking::Run> runs);
// Between the flat array and blocked order; `blocked` has total(runs) floats.
void gather(std::span<const Blocking::Run> runs, std::span<const float> flat, float* blocked);
void scatter(std::span<const Blocking::Run> runs, const float* blocked, std::span<float> flat);

}  // namespace dl::nn
