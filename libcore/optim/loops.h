// SPDX-License-Identifier: MIT
// The loops behind kernels.h, included by one source per instruction set. Everything has internal
// linkage and only builtins are called: an inline function with external linkage could be compiled
// here for AVX-512 and then be the copy that the linker keeps for every caller.
#pragma once

#include "optim/kernels.h"

namespace dl::optim {

namespace {

inline float fma32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

template <Kind kind, bool decays>
void update_loop(const UpdateConstants& k, float* __restrict w, const float* __restrict gradient,
                 float* __restrict m, float* __restrict v, std::size_t size) {
  const float lr = k.lr, scale = k.scale, decay = k.decay, mu = k.momentum;
  const float beta1 = k.beta1, beta2 = k.beta2, rest1 = k.rest1, rest2 = k.rest2;
  const float epsilon = k.epsilon, a = k.a, c = k.c, shrink = k.shrink;
  for (std::size_t i = 0; i < size; ++i) {
    float g = scale * gradient[i];
    if constexpr (kind == Kind::adamw) {
      if constexpr (decays) w[i] = fma32(-shrink, w[i], w[i]);
    } else if constexpr (decays) {
      g = fma32(decay, w[i], g);
    }
    if constexpr (kind == Kind::sgd) {
      w[i] = fma32(-lr, g, w[i]);
    } else if constexpr (kind == Kind::momentum) {
      m[i] = fma32(mu, m[i], g);
      w[i] = fma32(-lr, m[i], w[i]);
    } else if constexpr (kind == Kind::nesterov) {
      m[i] = fma32(mu, m[i], g);
      w[i] = fma32(-lr, fma32(mu, m[i], g), w[i]);
    } else {
      m[i] = fma32(beta1, m[i], rest1 * g);
      v[i] = fma32(beta2, v[i], (rest2 * g) * g);
      w[i] = fma32(-a, m[i] / (__builtin_sqrtf(v[i]) * c + epsilon), w[i]);
    }
  }
}

template <bool decays>
void update_kind(const UpdateConstants& k, float* w, const float* g, float* m, float* v,
                 std::size_t size) {
  switch (k.kind) {
    case Kind::sgd: return update_loop<Kind::sgd, decays>(k, w, g, m, v, size);
    case Kind::momentum: return update_loop<Kind::momentum, decays>(k, w, g, m, v, size);
    case Kind::nesterov: return update_loop<Kind::nesterov, decays>(k, w, g, m, v, size);
    case Kind::adam: return update_loop<Kind::adam, decays>(k, w, g, m, v, size);
    case Kind::adamw: return update_loop<Kind::adamw, decays>(k, w, g, m, v, size);
  }
}

void update_all(const UpdateConstants& k, float* w, const float* g, float* m, float* v,
                std::size_t size) {
  if (k.decay > 0) {
    update_kind<true>(k, w, g, m, v, size);
  } else {
    update_kind<false>(k, w, g, m, v, size);
  }
}

double squares_of(const float* values, std::size_t size) {
  constexpr std::size_t kLanes = 16;
  double lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const double x = values[i + j];
      lanes[j] += x * x;
    }
  }
  for (std::size_t j = 0; i < size; ++i, ++j) {
    const double x = values[i];
    lanes[j] += x * x;
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

// The largest exponent tells, and integers have no order of evaluation to keep.
bool finite_all(const float* values, std::size_t size) {
  unsigned largest = 0;
  for (std::size_t i = 0; i < size; ++i) {
    unsigned bits;
    __builtin_memcpy(&bits, values + i, sizeof(bits));
    bits &= 0x7fffffffU;
    largest = bits > largest ? bits : largest;
  }
  return largest < 0x7f800000U;
}

}  // namespace

}  // namespace dl::optim
