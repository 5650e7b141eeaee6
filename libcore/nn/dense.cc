// SPDX-License-Identifier: MIT
#include "nn/dense.h"

#include "base/error.h"

namespace dl::nn {

using linalg::Map;

Map map_of(Activation activation) {
  switch (activation) {
    case Activation::none:
      return Map::none;
    case Activation::relu:
      return Map::relu;
    case Activation::gelu:
      return Map::gelu;
    case Activation::tanh:
      return Map::tanh;
    case Activation::sigmoid:
      return Map::sigmoid;
  }
  fail(Exit::bug, "activation {}", static_cast<int>(activation));
}

std::vector<DenseLayer> dense_layers(const ModelSpec& spec) {
  std::vector<DenseLayer> layers;
  std::uint64_t offset = 0;
  std::uint32_t inputs = spec.ends.inputs;
  for (const DenseSpec& dense : spec.layers) {
    if (dense.inputs != inputs || dense.outputs == 0) {
      fail(Exit::bug, "a layer of {} inputs and {} outputs follows {} numbers", dense.inputs,
           dense.outputs, inputs);
    }
    const std::uint64_t biases = offset + std::uint64_t{dense.inputs} * dense.outputs;
    layers.push_back({dense.inputs, dense.outputs, map_of(dense.activation), offset, biases});
    offset = biases + dense.outputs;
    inputs = dense.outputs;
  }
  if (layers.empty() || inputs != spec.ends.outputs) {
    fail(Exit::bug, "a model of {} layers ends in {} outputs instead of {}", layers.size(), inputs,
         spec.ends.outputs);
  }
  return layers;
}

}  // namespace dl::nn
