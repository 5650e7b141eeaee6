// SPDX-License-Identifier: MIT
#include "nn/head.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "linalg/functions.h"
#include "linalg/products.h"

namespace dl::nn {

using linalg::kPanel;

Head::Head(const Ends& ends, const linalg::Arithmetic& arithmetic)
    : ends_(ends), arithmetic_(arithmetic) {}

void Head::operator()(const Batch& batch, std::span<const std::uint32_t> offsets, const float* y,
                      float* dy, std::span<double> losses) {
  const std::uint32_t slots = offsets.back();
  const std::uint32_t panels = linalg::panels_of(slots);
  const std::size_t panel_size = std::size_t{ends_.outputs} * kPanel;
  if (ends_.loss == Loss::softmax_cross_entropy) {
    most_.reserve(std::size_t{panels} * kPanel);
    log_sums_.reserve(std::size_t{panels} * kPanel);
    for (std::uint32_t p = 0; p < panels; ++p) {
      cross_entropy(p, y + p * panel_size, dy + p * panel_size);
    }
  }
  std::uint32_t slot = 0;
  const auto clear_until = [&](std::uint32_t end) {
    for (; slot < end; ++slot) {
      float* column = dy + slot / kPanel * panel_size + slot % kPanel;
      for (std::uint32_t o = 0; o < ends_.outputs; ++o) column[o * kPanel] = 0.0F;
    }
  };
  for (std::uint32_t i = 0; i < batch.segments(); ++i) {
    clear_until(offsets[i]);
    double sum = 0.0;
    for (std::uint32_t row = batch.offsets[i]; row < batch.offsets[i + 1]; ++row, ++slot) {
      const std::size_t at = slot / kPanel * panel_size + slot % kPanel;
      const double weight = batch.weights.empty() ? 1.0 : batch.weights[row];
      sum += weight * static_cast<double>(row_loss(batch, row, slot, y + at, dy + at));
    }
    losses[i] = sum;
  }
  clear_until(panels * kPanel);
}

// Softmax of every lane, and what the loss needs of it.
void Head::cross_entropy(std::uint32_t panel, const float* y, float* dy) {
  float* most = most_.data() + panel * kPanel;
  float* sums = log_sums_.data() + panel * kPanel;
  std::memcpy(most, y, kPanel * sizeof(float));
  for (std::uint32_t o = 1; o < ends_.outputs; ++o) {
    for (std::uint32_t lane = 0; lane < kPanel; ++lane) {
      const float value = y[o * kPanel + lane];
      most[lane] = value > most[lane] ? value : most[lane];
    }
  }
  for (std::uint32_t o = 0; o < ends_.outputs; ++o) {
    for (std::uint32_t lane = 0; lane < kPanel; ++lane) {
      dy[o * kPanel + lane] = y[o * kPanel + lane] - most[lane];
    }
  }
  const std::span<float> all(dy, std::size_t{ends_.outputs} * kPanel);
  linalg::exp(arithmetic_, all, all);
  std::memset(sums, 0, kPanel * sizeof(float));
  for (std::uint32_t o = 0; o < ends_.outputs; ++o) {
    for (std::uint32_t lane = 0; lane < kPanel; ++lane) sums[lane] += dy[o * kPanel + lane];
  }
  for (std::uint32_t o = 0; o < ends_.outputs; ++o) {
    for (std::uint32_t lane = 0; lane < kPanel; ++lane) {
      dy[o * kPanel + lane] = dy[o * kPanel + lane] / sums[lane];
    }
  }
  linalg::log(arithmetic_, {sums, kPanel}, {sums, kPanel});
}

// Finishes the row's gradient (y and dy point at its first output) and returns its loss.
float Head::row_loss(const Batch& batch, std::uint32_t row, std::uint32_t slot, const float* y,
                     float* dy) {
  float loss = 0.0F;
  if (ends_.loss == Loss::softmax_cross_entropy) {
    const std::uint32_t label = batch.classes[row];
    if (label >= ends_.outputs) fail(Exit::bug, "class {} of {} in a batch", label, ends_.outputs);
    dy[label * kPanel] -= 1.0F;
    loss = log_sums_.data()[slot] - (y[label * kPanel] - most_.data()[slot]);
  } else {
    const float* wanted = batch.numbers.data() + std::size_t{row} * ends_.outputs;
    float sum = 0.0F;
    for (std::uint32_t o = 0; o < ends_.outputs; ++o) {
      const float difference = y[o * kPanel] - wanted[o];
      dy[o * kPanel] = difference;
      sum = std::fma(difference, difference, sum);
    }
    loss = 0.5F * sum;
  }
  if (!batch.weights.empty()) {
    for (std::uint32_t o = 0; o < ends_.outputs; ++o) dy[o * kPanel] *= batch.weights[row];
  }
  return loss;
}

}  // namespace dl::nn
