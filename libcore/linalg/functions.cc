// SPDX-License-Identifier: MIT
#include "linalg/functions.h"

#include "base/error.h"
#include "linalg/kernels.h"

namespace dl::linalg {

namespace {

float one(UnaryFunction function, float x) {
  float y = 0.0F;
  function(&x, &y, 1);
  return y;
}

void all(UnaryFunction function, std::span<const float> in, std::span<float> out) {
  if (in.size() != out.size()) fail(Exit::bug, "spans of {} and {} floats", in.size(), out.size());
  function(in.data(), out.data(), in.size());
}

}  // namespace

#define DL_FUNCTION(name)                                                                    \
  float name(float x) {                                                                      \
    return one(scalar_kernels().name, x);                                                    \
  }                                                                                          \
  void name(const Arithmetic& arithmetic, std::span<const float> in, std::span<float> out) { \
    all(arithmetic.kernels().name, in, out);                                                 \
  }

DL_FUNCTION(exp)
DL_FUNCTION(log)
DL_FUNCTION(tanh)
DL_FUNCTION(erf)
DL_FUNCTION(sigmoid)
DL_FUNCTION(gelu)
DL_FUNCTION(gelu_derivative)

#undef DL_FUNCTION

}  // namespace dl::linalg
