// SPDX-License-Identifier: MIT
// The loss of a batch and its gradient, on panels (linalg/products.h). Private to nn.
#pragma once

#include <cstdint>
#include <span>

#include "linalg/arithmetic.h"
#include "linalg/buffer.h"
#include "nn/batch.h"
#include "nn/model_spec.h"

namespace dl::nn {

// A row's loss has the bits of nn/loss.h; its gradient is softmax - 1 at the class, or the
// difference, each times the row's weight. Belongs to the model's thread.
class Head {
 public:
  Head(const Ends& ends, const linalg::Arithmetic& arithmetic);

  // Reads the raw outputs y, writes dy, both panels of `slots` rows; segment i of the batch begins
  // at slot offsets[i]. Slots without a row get zeros. losses[i] becomes the sum of segment i.
  void operator()(const Batch& batch, std::span<const std::uint32_t> offsets, const float* y,
                  float* dy, std::span<double> losses);

 private:
  void cross_entropy(std::uint32_t panel, const float* y, float* dy);
  float row_loss(const Batch& batch, std::uint32_t row, std::uint32_t slot, const float* y,
                 float* dy);

  Ends ends_;
  linalg::Arithmetic arithmetic_;
  linalg::Buffer most_, log_sums_;  // one number per slot
};

}  // namespace dl::nn
