// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace dl::optim {

// By squaring. libm's pow may differ in the last bit between processors; this does not.
inline double power(double base, std::uint64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace dl::optim
