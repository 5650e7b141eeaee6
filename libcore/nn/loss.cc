// SPDX-License-Identifier: MIT
#include "nn/loss.h"

#include <cmath>

#include "base/error.h"
#include "linalg/functions.h"

namespace dl::nn {

namespace {

float largest(std::span<const float> values) {
  float most = values[0];
  for (const float value : values) most = value > most ? value : most;
  return most;
}

}  // namespace

float cross_entropy(std::span<const float> logits, std::uint32_t label) {
  if (label >= logits.size()) {
    fail(Exit::bug, "class {} of {} in a loss", label, logits.size());
  }
  const float most = largest(logits);
  float sum = 0.0F;
  for (const float logit : logits) sum += linalg::exp(logit - most);
  return linalg::log(sum) - (logits[label] - most);
}

float squared_error(std::span<const float> outputs, std::span<const float> wanted) {
  float sum = 0.0F;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const float difference = outputs[i] - wanted[i];
    sum = std::fma(difference, difference, sum);
  }
  return 0.5F * sum;
}

void softmax(std::span<float> logits) {
  const float most = largest(logits);
  float sum = 0.0F;
  for (float& logit : logits) {
    logit = linalg::exp(logit - most);
    sum += logit;
  }
  for (float& logit : logits) logit = logit / sum;
}

}  // namespace dl::nn
