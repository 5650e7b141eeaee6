// SPDX-License-Identifier: MIT
// Row-wise losses on raw outputs, with our own exp and log: the same bits on every CPU.
#pragma once

#include <cstdint>
#include <span>

namespace dl::nn {

// -log softmax(logits)[label]
float cross_entropy(std::span<const float> logits, std::uint32_t label);
// Half the sum of squared differences.
float squared_error(std::span<const float> outputs, std::span<const float> wanted);
// In place: logits become probabilities.
void softmax(std::span<float> logits);

}  // namespace dl::nn
