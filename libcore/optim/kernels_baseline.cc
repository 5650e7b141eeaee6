// SPDX-License-Identifier: MIT
#include "optim/loops.h"

namespace dl::optim {

const Kernels& baseline_kernels() {
  static constexpr Kernels kKernels = {"baseline", update_all, squares_of, finite_all};
  return kKernels;
}

}  // namespace dl::optim
