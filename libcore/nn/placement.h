// SPDX-License-Identifier: MIT
// Where the rows of a batch lie in panels (linalg/products.h). Private to nn.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "linalg/products.h"
#include "nn/batch.h"

namespace dl::nn {

// Slots that a segment of so many rows takes: an arithmetic of fixed shapes wants whole panels.
std::uint32_t slots_of(const linalg::Arithmetic& arithmetic, std::uint32_t rows);
// Row r of segment i is slot slots[i] + r of the panels; the last number is that of all slots.
void place_rows(const linalg::Arithmetic& arithmetic, const Batch& batch, std::vector<std::uint32_t>& slots);
// The batch's features as panels. `x` has room for them.
void pack_rows(linalg::Products& products, const Batch& batch, std::span<const std::uint32_t> slots,
               std::uint32_t width, float* x);

}  // namespace dl::nn
