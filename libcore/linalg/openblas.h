// SPDX-License-Identifier: MIT
// The table of the second implementation. Private to linalg.
#pragma once

#include <string>

#include "linalg/kernels.h"

namespace dl::linalg {

// Products by OpenBLAS on one thread, 32 rows (a panel) per call whatever the batch, so that a
// segment that begins a panel has the same bits in every batch; all else from `rest`, which must be
// the same table at every call.
const Kernels& openblas_kernels(const Kernels& rest);

// The kernel family that OpenBLAS chose for this CPU, lower case: "skylakex", "zen".
std::string openblas_core();

}  // namespace dl::linalg
