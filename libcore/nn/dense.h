// SPDX-License-Identifier: MIT
// Where a model's dense layers lie in the flat array. Private to nn.
#pragma once

#include <cstdint>
#include <vector>

#include "linalg/kernels.h"
#include "nn/model_spec.h"

namespace dl::nn {

linalg::Map map_of(Activation activation);

struct DenseLayer {
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  linalg::Map map = linalg::Map::none;
  std::uint64_t weights = 0;  // offsets in the flat array
  std::uint64_t biases = 0;
};

// From the inputs up to the head. 70 where the layers do not fit each other or the ends.
std::vector<DenseLayer> dense_layers(const ModelSpec& spec);

}  // namespace dl::nn
