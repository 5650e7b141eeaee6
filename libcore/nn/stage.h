// SPDX-License-Identifier: MIT
// A run of a model's layers that works on one segment of a batch at a time: what one node of a pipeline
// computes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "nn/batch.h"
#include "nn/model.h"

namespace dl::nn {

// Layers [begin, end) of a model, counted from the inputs; the head is the last one.
struct LayerRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

// Owned by the training thread, as the model is, whose parameters it reads and which must outlive it. Stages that together hold all layers give the bits of Model::backprop(): every number is the same
// chain of operations, whoever computes it.
//
// A step is: begin(), forward() of each segment in any order, backward() of each (on the last stage after
// its loss()), gradient(). The products for the weights' gradients are left to the end and done for all
// segments at once: nobody waits for them, and they are fastest so.
//
// Numbers come and go row-major without padding: rows x inputs(), rows x outputs().
class Stage {
 public:
  Stage(Model& model, LayerRange layers);
  ~Stage();
  Stage(Stage&&) noexcept;

  std::uint32_t inputs() const;   // of its first layer
  std::uint32_t outputs() const;  // of its last one
  ElementRange elements() const;  // of its layers, in the flat array

  void begin(std::span<const std::uint32_t> rows_of_segments);
  // `y` may be empty on the last stage, whose loss() is enough.
  void forward(std::uint32_t segment, std::span<const float> x, std::span<float> y);
  // On the last stage: the segment's summed loss. `targets` is a batch of that one segment, its features
  // are not looked at.
  double loss(std::uint32_t segment, const Batch& targets);
  // `dy` is the gradient by what forward() gave, empty on the last stage; `dx` becomes the one by what it
  // was given, and is empty on the first one.
  void backward(std::uint32_t segment, std::span<const float> dy, std::span<float> dx);
  // As Model::backprop: over each group of segments the sum of their gradients, in this stage's elements of
  // partials[g]. The others are not touched.
  void gradient(std::span<const std::uint32_t> group_sizes, std::span<float* const> partials);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dl::nn
