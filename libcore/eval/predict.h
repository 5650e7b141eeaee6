// SPDX-License-Identifier: MIT
// What a model says about rows whose answer nobody knows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/schema.h"
#include "nn/model_spec.h"

namespace dl::eval {

struct Prediction {
  std::uint32_t code = 0;  // classification: the class, and its probability
  float probability = 0;
  std::vector<double> numbers;  // regression: one for each target, in its own units
};

// From the head's raw outputs (rows x ends.outputs).
std::vector<Prediction> predictions(std::span<const float> outputs, const nn::Ends& ends,
                                    const data::Schema& schema);

}  // namespace dl::eval
