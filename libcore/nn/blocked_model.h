// SPDX-License-Identifier: MIT
// One rank's blocks of a model that is cut for tensor parallelism (nn/blocking.h), and a step over them.
//
// Definition, beside linalg/products.h: the sum over a pair's hidden units is a tree of chains instead of one
// chain. For block b of a pair (first layer W1, b1, second layer W2, b2; every operation rounded to float32)
//   z_b[r][o]  = 0, then z_b = fma(W2[o][k], y1[r][k], z_b)        over the units k of block b, ascending
//   z[r][o]    = (z_0 .. z_{B-1} added in the canonical tree over B leaves, base/tree.h) + b2[o]
//   dx_b[r][i] = 0, then dx_b = fma(W1[k][i], dz1[r][k], dx_b)     over the same units
//   dx[r][i]   = (dx_0 .. dx_{B-1} added in the same tree) * map'  of the layer below
// Everything else is as in nn::Model: layers without a pair, gradients (one chain for each segment, segments
// in the canonical tree), losses. So the bits depend on B, never on who holds which block; they differ from
// Model's by the rounding of these two sums.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/workers.h"
#include "linalg/arithmetic.h"
#include "nn/batch.h"
#include "nn/blocking.h"
#include "nn/model.h"

namespace dl::nn {

// Where the sums of a step (Blocking::sums) are made, rows in panels of 32, a panel of width w as w x 32 floats.
struct BlockSums {
  std::span<float* const> parts;          // one for each maximal subtree of the own blocks
  const float* total = nullptr;
  std::span<const std::uint64_t> begins;  // of each sum, in parts and total
  std::function<void(std::size_t)> start; // the own parts of this sum are written
  std::function<void(std::size_t)> wait;  // returns when the total of this sum is there
};

// Owned by the training thread; `workers` must outlive it. Parameters and gradients are in blocked order: the
// common ones, then those of each own block, ascending; where a block begins a cache line, what is between is zero
// in both.
class BlockedModel {
 public:
  BlockedModel(const ModelSpec& spec, const Blocking& blocking, std::vector<std::uint32_t> own,
               const linalg::Arithmetic& arithmetic, Workers& workers);
  ~BlockedModel();

  std::span<float> parameters();
  std::span<const float> gradient() const;
  ElementRange common() const;              // elements of what no block holds
  ElementRange block(std::size_t i) const;  // of the i-th own block

  // Slots in panels that segments of at most so many rows need.
  static std::uint32_t most_slots(const linalg::Arithmetic& arithmetic, std::span<const std::uint32_t> rows);

  // gradient() becomes the sum over all segments, in the canonical tree, of the gradient of the loss. losses[i]
  // becomes that of segment i. The same on every rank, but for what its blocks are.
  void backprop(const Batch& batch, const BlockSums& sums, std::span<double> losses);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dl::nn
