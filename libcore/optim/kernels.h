// SPDX-License-Identifier: MIT
// One update loop, compiled once for each instruction set; private to optim and its tests.
//
// Every operation in the loops is correctly rounded (fma, multiply, add, divide, square root), and
// elements do not meet, so each instruction set gives the same bits.
#pragma once

#include <cstddef>

#include "optim/optimizer.h"

namespace dl::optim {

// What the loops need, in float32.
struct UpdateConstants {
  Kind kind;
  float lr;
  float scale;         // of the gradient
  float decay;         // d; the loops add d * w where it is above 0
  float momentum;
  float beta1, beta2;
  float rest1, rest2;  // 1 - beta
  float epsilon;
  float a, c;          // Adam's corrections of the moments that begin at 0
  float shrink;        // adamw: lr * d
};

inline constexpr std::size_t kSquaresBlock = 4096;

struct Kernels {
  const char* name;
  // `slot0` and `slot1` are null where the kind has none.
  void (*update)(const UpdateConstants& constants, float* parameters, const float* gradient,
                 float* slot0, float* slot1, std::size_t size);
  // The sum of squares of at most kSquaresBlock elements: 16 lanes, element i in lane i % 16, each
  // in index order; then lane j + lane j+8, j + j+4, j + j+2, j + j+1. A square of a float32 is
  // exact in double.
  double (*squares)(const float* values, std::size_t size);
  bool (*finite)(const float* values, std::size_t size);
};

const Kernels& baseline_kernels();
const Kernels& avx2_kernels();    // call only where the processor has AVX2 and FMA
const Kernels& avx512_kernels();  // call only where the processor has AVX-512F

// The widest that this processor has.
const Kernels& best_kernels();

UpdateConstants constants_of(const OptimizerSpec& spec, const StepFactors& factors);

}  // namespace dl::optim
