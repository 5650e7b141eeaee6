// SPDX-License-Identifier: MIT
// Elementary functions of our own in float32: the C library's differ from CPU to CPU.
//
// Made of fma, +, -, *, exact scaling by powers of two and, in tanh and sigmoid, one division, all
// of them rounded as IEEE 754 says. So they have the same bits in every kernel, scalar or vector,
// in threads that flush denormals (base/workers.h) as all that compute do.
//
// Errors against the exact value, in units in the last place of the float32 result:
//   exp      1.0   0 where the result would be denormal, +inf above log(FLT_MAX)
//   log      1.0   -inf for 0 and denormals (which count as 0), NaN below
//   tanh     1.4
//   erf      1.2
//   sigmoid  2.5
//   gelu     x * Phi(x), exact form: |error| <= 1.2e-7 * max(1, |x|); -0 below -14
// NaN gives NaN; the infinities give the limits (gelu of -inf is -0); tanh, erf and gelu keep -0.
#pragma once

#include <span>

#include "linalg/arithmetic.h"

namespace dl::linalg {

float exp(float x);
float log(float x);
float tanh(float x);
float erf(float x);
float sigmoid(float x);
float gelu(float x);             // Hendrycks and Gimpel 2016, by erf
float gelu_derivative(float x);  // Phi(x) + x phi(x), |error| <= 2e-7

// Element by element; out may be in. Equal lengths.
void exp(const Arithmetic& arithmetic, std::span<const float> in, std::span<float> out);
void log(const Arithmetic& arithmetic, std::span<const float> in, std::span<float> out);
void tanh(const Arithmetic& arithmetic, std::span<const float> in, std::span<float> out);
void erf(const Arithmetic& arithmetic, std::span<const float> in, std::span<float> out);
void sigmoid(const Arithmetic& arithmetic, std::span<const float> in, std::span<float> out);
void gelu(const Arithmetic& arithmetic, std::span<const float> in, std::span<float> out);
void gelu_derivative(const Arithmetic& arithmetic, std::span<const float> in, std::span<float> out);

}  // namespace dl::linalg
