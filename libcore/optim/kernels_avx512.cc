// SPDX-License-Identifier: MIT
#include "optim/loops.h"

namespace dl::optim {

const Kernels& avx512_kernels() {
  static constexpr Kernels kKernels = {"avx512", update_all, squares_of, finite_all};
  return kKernels;
}

}  // namespace dl::optim
