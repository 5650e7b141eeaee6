// SPDX-License-Identifier: MIT
// A feed-forward network over one flat parameter array.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/workers.h"
#include "linalg/arithmetic.h"
#include "nn/batch.h"
#include "nn/model_spec.h"

namespace dl::nn {

// Elements [begin, end) of the flat parameter and gradient arrays.
struct ElementRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const ElementRange&) const = default;
};

// Owned by the training thread, which alone may touch it; `workers` must outlive it. The thread
// calls flush_denormals() (base/workers.h) first, as the workers do. A step of no more rows and
// segments than before allocates nothing. Partials are written fastest in a linalg::Buffer.
class Model {
 public:
  Model(const ModelSpec& spec, const linalg::Arithmetic& arithmetic, Workers& workers);
  ~Model();
  Model(Model&&) noexcept;

  const ModelSpec& spec() const;
  const linalg::Arithmetic& arithmetic() const;
  Workers& workers();
  std::span<float> parameters();
  std::span<const float> parameters() const;

  // A pure function of the spec and the seed: uniform in +-sqrt(6 / inputs) (He) or
  // +-sqrt(6 / (inputs + outputs)) (Glorot); biases 0.
  void initialise(std::uint64_t seed);

  // The pieces in which backprop() finishes gradients, in that order; together the whole array.
  // Each holds at least 32 Ki elements where its layer has them, so that sending can begin early.
  std::span<const ElementRange> buckets() const;

  // Sums, over each group of consecutive segments, of the gradients of the loss (times the rows'
  // weights, not divided by anything). Group g covers the next group_sizes[g] segments; within a
  // group, segments' chains are added in the canonical tree over that many leaves (base/tree.h).
  // partials[g] (parameter_count floats each, any content) is overwritten. losses[i] becomes the
  // sum of segment i's weighted row losses, before the first call of ready(). ready(b) is called on
  // this thread when buckets()[b] of every partial is final. A batch of no rows gives zeros.
  void backprop(const Batch& batch, std::span<const std::uint32_t> group_sizes,
                std::span<float* const> partials, std::span<double> losses,
                const std::function<void(std::size_t)>& ready);
  // The same with these parameters (a linalg::Buffer's, as many) in place of the model's own.
  void backprop(std::span<const float> parameters, const Batch& batch,
                std::span<const std::uint32_t> group_sizes, std::span<float* const> partials,
                std::span<double> losses, const std::function<void(std::size_t)>& ready);

  // out (rows x outputs, row-major) becomes the head's raw outputs: logits, or the numbers.
  // The same bits for a row whatever `rows` is.
  void predict(std::span<const float> features, std::uint32_t rows, std::span<float> out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dl::nn
