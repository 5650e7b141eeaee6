// SPDX-License-Identifier: MIT
#include "optim/loops.h"

namespace dl::optim {

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = {"avx2", update_all, squares_of, finite_all};
  return kKernels;
}

}  // namespace dl::optim
