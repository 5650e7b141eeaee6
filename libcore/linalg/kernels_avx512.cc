// SPDX-License-Identifier: MIT
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "linalg/kernels.h"

namespace dl::linalg {

namespace {

struct V16 {
  using T = __m512;
  using I = __m512i;
  using M = __mmask16;
  static constexpr std::uint32_t width = 16;
  static constexpr std::uint32_t rows = 12;  // of a tile: 24 of 32 registers accumulate

  static T load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, T x) { _mm512_storeu_ps(p, x); }
  static T set1(float x) { return _mm512_set1_ps(x); }
  static T add(T a, T b) { return _mm512_add_ps(a, b); }
  static T sub(T a, T b) { return _mm512_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm512_mul_ps(a, b); }
  static T div(T a, T b) { return _mm512_div_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }
  static M less(T a, T b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static M less_or_equal(T a, T b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  static M unordered(T a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
  static T select(M m, T a, T b) { return _mm512_mask_blend_ps(m, b, a); }
  static I bits(T a) { return _mm512_castps_si512(a); }
  static T from_bits(I a) { return _mm512_castsi512_ps(a); }
  static I set1_int(std::int32_t a) { return _mm512_set1_epi32(a); }
  static I sub_int(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I shift_right_signed(I a, unsigned n) { return _mm512_srai_epi32(a, n); }
  static I shift_left(I a, unsigned n) { return _mm512_slli_epi32(a, n); }
  static T to_float(I a) { return _mm512_cvtepi32_ps(a); }
  static T power_of_two(I n) { return from_bits(shift_left(sub_int(n, set1_int(-127)), 23)); }
  static T absolute(T a) { return _mm512_abs_ps(a); }
  static T with_sign_of(T a, T b) {
    const I sign = set1_int(INT32_MIN);
    return from_bits(_mm512_ternarylogic_epi32(sign, bits(b), bits(a), 0xca));
  }
  static T quiet_nan() { return from_bits(set1_int(0x7fc00000)); }
  static T negative_infinity() { return set1(-__builtin_inff()); }

  static void transpose(const float* from, std::size_t from_step, float* to, std::size_t to_step) {
    T a[16], b[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) a[i] = load(from + i * from_step);
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      const T low0 = _mm512_unpacklo_ps(a[i], a[i + 1]);
      const T high0 = _mm512_unpackhi_ps(a[i], a[i + 1]);
      const T low1 = _mm512_unpacklo_ps(a[i + 2], a[i + 3]);
      const T high1 = _mm512_unpackhi_ps(a[i + 2], a[i + 3]);
      b[i] = _mm512_shuffle_ps(low0, low1, 0x44);
      b[i + 1] = _mm512_shuffle_ps(low0, low1, 0xee);
      b[i + 2] = _mm512_shuffle_ps(high0, high1, 0x44);
      b[i + 3] = _mm512_shuffle_ps(high0, high1, 0xee);
    }
    // b[4 q + c] holds, in its quarter s, column 4 s + c of rows 4 q .. 4 q + 3.
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const T even01 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0x88);
      const T odd01 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0xdd);
      const T even23 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0x88);
      const T odd23 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0xdd);
      store(to + c * to_step, _mm512_shuffle_f32x4(even01, even23, 0x88));
      store(to + (4 + c) * to_step, _mm512_shuffle_f32x4(odd01, odd23, 0x88));
      store(to + (8 + c) * to_step, _mm512_shuffle_f32x4(even01, even23, 0xdd));
      store(to + (12 + c) * to_step, _mm512_shuffle_f32x4(odd01, odd23, 0xdd));
    }
  }
};

#include "linalg/elementary.inc"

#include "linalg/tile.inc"

#include "linalg/gradient.inc"

#include "linalg/products.inc"

}  // namespace

const Kernels& avx512_kernels() {
  return table<V16>("avx512");
}

}  // namespace dl::linalg
