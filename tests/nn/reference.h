// SPDX-License-Identifier: MIT
// A network in double, written for reading: what nn::Model is held against.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "nn/batch.h"
#include "nn/model_spec.h"

namespace dl::nn::reference {

inline double activate(Activation activation, double z) {
  switch (activation) {
    case Activation::none:
      return z;
    case Activation::relu:
      return z > 0 ? z : 0;
    case Activation::gelu:
      return 0.5 * z * std::erfc(-z / std::sqrt(2.0));
    case Activation::tanh:
      return std::tanh(z);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-z));
  }
  return z;
}

inline std::vector<double> outputs(const ModelSpec& spec, const std::vector<double>& parameters,
                                   const float* features) {
  std::vector<double> x(features, features + spec.ends.inputs);
  const double* p = parameters.data();
  for (const DenseSpec& layer : spec.layers) {
    const double* biases = p + std::size_t{layer.inputs} * layer.outputs;
    std::vector<double> y;
    for (std::uint32_t o = 0; o < layer.outputs; ++o) {
      double z = biases[o];
      for (std::uint32_t i = 0; i < layer.inputs; ++i) z += *p++ * x[i];
      y.push_back(activate(layer.activation, z));
    }
    p = biases + layer.outputs;
    x = y;
  }
  return x;
}

// The weighted sum of the losses of rows [begin, end).
inline double loss(const ModelSpec& spec, const std::vector<double>& parameters, const Batch& batch,
                   std::uint32_t begin, std::uint32_t end) {
  double total = 0;
  for (std::uint32_t r = begin; r < end; ++r) {
    const auto y =
        outputs(spec, parameters, batch.features.data() + std::size_t{r} * spec.ends.inputs);
    double row = 0;
    if (spec.ends.loss == Loss::softmax_cross_entropy) {
      double sum = 0;
      for (const double value : y) sum += std::exp(value);
      row = std::log(sum) - y[batch.classes[r]];
    } else {
      for (std::size_t o = 0; o < y.size(); ++o) {
        const double difference = y[o] - batch.numbers[r * y.size() + o];
        row += 0.5 * difference * difference;
      }
    }
    total += row * (batch.weights.empty() ? 1.0 : batch.weights[r]);
  }
  return total;
}

}  // namespace dl::nn::reference
