// SPDX-License-Identifier: MIT
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "linalg/kernels.h"

namespace dl::linalg {

namespace {

struct V8 {
  using T = __m256;
  using I = __m256i;
  using M = __m256;
  static constexpr std::uint32_t width = 8;
  static constexpr std::uint32_t rows = 6;  // of a tile: 12 of 16 registers accumulate

  static T load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, T x) { _mm256_storeu_ps(p, x); }
  static T set1(float x) { return _mm256_set1_ps(x); }
  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T sub(T a, T b) { return _mm256_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm256_mul_ps(a, b); }
  static T div(T a, T b) { return _mm256_div_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
  static M less(T a, T b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static M less_or_equal(T a, T b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
  static M unordered(T a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
  static T select(M m, T a, T b) { return _mm256_blendv_ps(b, a, m); }
  static I bits(T a) { return _mm256_castps_si256(a); }
  static T from_bits(I a) { return _mm256_castsi256_ps(a); }
  static I set1_int(std::int32_t a) { return _mm256_set1_epi32(a); }
  static I sub_int(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I shift_right_signed(I a, int n) { return _mm256_srai_epi32(a, n); }
  static I shift_left(I a, int n) { return _mm256_slli_epi32(a, n); }
  static T to_float(I a) { return _mm256_cvtepi32_ps(a); }
  static T power_of_two(I n) { return from_bits(shift_left(sub_int(n, set1_int(-127)), 23)); }
  static T absolute(T a) { return _mm256_andnot_ps(set1(-0.0F), a); }
  static T with_sign_of(T a, T b) {
    return _mm256_or_ps(absolute(a), _mm256_and_ps(set1(-0.0F), b));
  }
  static T quiet_nan() { return from_bits(set1_int(0x7fc00000)); }
  static T negative_infinity() { return set1(-__builtin_inff()); }

  static void transpose(const float* from, std::size_t from_step, float* to, std::size_t to_step) {
    T a[8], b[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) a[i] = load(from + i * from_step);
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
      const T low0 = _mm256_unpacklo_ps(a[i], a[i + 1]);
      const T high0 = _mm256_unpackhi_ps(a[i], a[i + 1]);
      const T low1 = _mm256_unpacklo_ps(a[i + 2], a[i + 3]);
      const T high1 = _mm256_unpackhi_ps(a[i + 2], a[i + 3]);
      b[i] = _mm256_shuffle_ps(low0, low1, 0x44);
      b[i + 1] = _mm256_shuffle_ps(low0, low1, 0xee);
      b[i + 2] = _mm256_shuffle_ps(high0, high1, 0x44);
      b[i + 3] = _mm256_shuffle_ps(high0, high1, 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      store(to + c * to_step, _mm256_permute2f128_ps(b[c], b[4 + c], 0x20));
      store(to + (4 + c) * to_step, _mm256_permute2f128_ps(b[c], b[4 + c], 0x31));
    }
  }
};

#include "linalg/elementary.inc"

#include "linalg/tile.inc"

#include "linalg/gradient.inc"

#include "linalg/products.inc"

}  // namespace

const Kernels& avx2_kernels() {
  return table<V8>("avx2");
}

}  // namespace dl::linalg
