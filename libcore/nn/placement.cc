// SPDX-License-Identifier: MIT
#include "nn/placement.h"

namespace dl::nn {

std::uint32_t slots_of(const linalg::Arithmetic& arithmetic, std::uint32_t rows) {
  return arithmetic.fixed_shapes() ? linalg::panels_of(rows) * linalg::kPanel : rows;
}

void place_rows(const linalg::Arithmetic& arithmetic, const Batch& batch, std::vector<std::uint32_t>& slots) {
  slots.assign(1, 0);
  for (std::uint32_t i = 0; i < batch.segments(); ++i) {
    slots.push_back(slots.back() + slots_of(arithmetic, batch.offsets[i + 1] - batch.offsets[i]));
  }
}

void pack_rows(linalg::Products& products, const Batch& batch, std::span<const std::uint32_t> slots,
               std::uint32_t width, float* x) {
  if (!products.arithmetic().fixed_shapes()) {
    products.pack(batch.features.data(), batch.rows, width, x);
    return;
  }
  for (std::uint32_t i = 0; i < batch.segments(); ++i) {
    products.pack(batch.features.data() + std::size_t{batch.offsets[i]} * width,
                  batch.offsets[i + 1] - batch.offsets[i], width, x + std::size_t{slots[i]} * width);
  }
}

}  // namespace dl::nn
