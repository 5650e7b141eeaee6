// SPDX-License-Identifier: MIT
// The loops behind codec_kernels.h, included by one source per instruction set. Everything has internal
// linkage and only builtins are called: an inline function with external linkage could be compiled here for
// AVX-512 and then be the copy that the linker keeps for every caller.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "comm/codec_kernels.h"

namespace dl::comm {

namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u32 kMagnitude = 0x7FFFFFFF;
constexpr u32 kInfinity = 0x7F800000;  // magnitudes from here on are no finite numbers
constexpr std::size_t kLanes = kPeakLanes;
constexpr float kMostScale = 0x1p120F;  // of int8, so that 127 of it is a number

inline u32 bits_of(float x) { return __builtin_bit_cast(u32, x); }
inline float float_of(u32 bits) { return __builtin_bit_cast(float, bits); }
inline u32 larger(u32 a, u32 b) { return a > b ? a : b; }

bool bf16_encode(const float* __restrict gradient, float* __restrict residual, u16* __restrict code,
                 std::size_t size) {
  u32 most = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const float u = residual[i] + gradient[i];
    const u32 bits = bits_of(u);
    const u32 rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000;
    // A NaN may round to anything, an infinity stays one, and a large number may become one.
    most = larger(most, larger(bits & kMagnitude, rounded & kMagnitude));
    code[i] = static_cast<u16>(rounded >> 16);
    residual[i] = u - float_of(rounded);
  }
  return most < kInfinity;
}

bool bf16_decode(const u16* __restrict code, float* __restrict out, std::size_t size) {
  u32 most = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const u32 bits = u32{code[i]} << 16;
    most = larger(most, bits & kMagnitude);
    out[i] = float_of(bits);
  }
  return most < kInfinity;
}

// Words in lanes of 64 bits, of which the upper half means nothing: that is what the multiplication wants.
#if defined(__AVX512F__)
constexpr std::size_t kWideBytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t kWideBytes = 32;
#else
constexpr std::size_t kWideBytes = 16;
#endif
typedef u64 Wide __attribute__((vector_size(kWideBytes)));
typedef u32 Words __attribute__((vector_size(kWideBytes)));
typedef int Ints __attribute__((vector_size(kWideBytes)));
typedef float Floats __attribute__((vector_size(kWideBytes)));
constexpr std::size_t kWide = kWideBytes / sizeof(u64);

inline Wide multiply_low(Wide a, u32 b) {
#if defined(__AVX512F__)
  return reinterpret_cast<Wide>(_mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), _mm512_set1_epi64(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), _mm256_set1_epi64x(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), _mm_set1_epi64x(b)));
#else
  return (a & 0xFFFFFFFF) * b;
#endif
}

struct Philox {
  Wide c0, c1, c2, c3;
};

inline Philox philox_round(const Philox& c, u32 k0, u32 k1) {
  const Wide p0 = multiply_low(c.c0, 0xD2511F53);
  const Wide p1 = multiply_low(c.c2, 0xCD9E8D57);
  return {(p1 >> 32) ^ c.c1 ^ u64{k0}, p1, (p0 >> 32) ^ c.c3 ^ u64{k1}, p0};
}

// Philox4x32-10 (base/rng.h) of the counters first, first + 2, first + 4 ...
inline Philox draw(const RandomPlace& place, u32 first) {
  Philox c = {Wide{} + first, Wide{} + place.begin, Wide{} + place.group, Wide{} + place.step};
  for (std::size_t i = 0; i < kWide; ++i) c.c0[i] += 2 * i;
  u32 k0 = place.key[0], k1 = place.key[1];
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    c = philox_round(c, k0, k1);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

inline void put_fractions(Wide even, Wide odd, float* lower, float* upper) {
  const Words words = reinterpret_cast<Words>((even & 0xFFFFFFFF) | (odd << 32));
  const Floats low = __builtin_convertvector(reinterpret_cast<Ints>(words & 0xFFFF), Floats) * 0x1p-16F;
  const Floats high = __builtin_convertvector(reinterpret_cast<Ints>(words >> 16), Floats) * 0x1p-16F;
  __builtin_memcpy(lower, &low, sizeof low);
  __builtin_memcpy(upper, &high, sizeof high);
}

// 128 fractions in [0, 1), for the elements of one block.
inline void draw_block(const RandomPlace& place, u32 block, float* __restrict out) {
  for (std::size_t lane = 0; lane < kLanes; lane += 2 * kWide) {
    const u32 counter = block * u32{kLanes} + static_cast<u32>(lane);
    const Philox even = draw(place, counter);
    const Philox odd = draw(place, counter + 1);
    put_fractions(even.c0, odd.c0, out + 0 * kLanes + lane, out + 1 * kLanes + lane);
    put_fractions(even.c1, odd.c1, out + 2 * kLanes + lane, out + 3 * kLanes + lane);
    put_fractions(even.c2, odd.c2, out + 4 * kLanes + lane, out + 5 * kLanes + lane);
    put_fractions(even.c3, odd.c3, out + 6 * kLanes + lane, out + 7 * kLanes + lane);
  }
}

// residual += gradient; the largest magnitude.
u32 add_to(const float* __restrict gradient, float* __restrict residual, std::size_t size) {
  u32 most = 0;
  for (std::size_t i = 0; i < size; ++i) {
    residual[i] += gradient[i];
    most = larger(most, bits_of(residual[i]) & kMagnitude);
  }
  return most;
}

inline void int8_quantise(float scale, const float* __restrict fractions, float* __restrict residual,
                          signed char* __restrict code, std::size_t size) {
  const float inverse = scale > 0 ? 1.0F / scale : 0.0F;
  for (std::size_t i = 0; i < size; ++i) {
    const float y = residual[i] * inverse + fractions[i];
    const int towards_zero = static_cast<int>(y);
    int q = towards_zero - (y < static_cast<float>(towards_zero) ? 1 : 0);
    q = q > 127 ? 127 : q;
    q = q < -127 ? -127 : q;
    code[i] = static_cast<signed char>(q);
    const float decoded = static_cast<float>(q) * scale;
    residual[i] -= decoded;
  }
}

bool int8_encode(const RandomPlace& place, const float* gradient, float* residual, std::byte* code,
                 std::size_t size) {
  float fractions[kBlock];
  u32 block = 0;
  for (std::size_t at = 0; at < size; at += kBlock, ++block) {
    const std::size_t count = size - at < kBlock ? size - at : kBlock;
    const u32 most = add_to(gradient + at, residual + at, count);
    const float scale = float_of(most) / 127.0F;
    if (!(scale <= kMostScale)) return false;
    draw_block(place, block, fractions);
    __builtin_memcpy(code, &scale, sizeof scale);
    auto* const bytes = reinterpret_cast<signed char*>(code + sizeof scale);
    if (count == kBlock) {
      int8_quantise(scale, fractions, residual + at, bytes, kBlock);
    } else {
      int8_quantise(scale, fractions, residual + at, bytes, count);
    }
    code += sizeof scale + count;
  }
  return true;
}

bool int8_decode(const std::byte* code, float* out, std::size_t size) {
  for (std::size_t at = 0; at < size; at += kBlock) {
    const std::size_t count = size - at < kBlock ? size - at : kBlock;
    float scale;
    __builtin_memcpy(&scale, code, sizeof scale);
    if (bits_of(scale) > bits_of(kMostScale)) return false;  // negative ones and NaN too
    const auto* __restrict bytes = reinterpret_cast<const signed char*>(code + sizeof scale);
    float* __restrict to = out + at;
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<float>(int{bytes[i]}) * scale;
    code += sizeof scale + count;
  }
  return true;
}

enum class Momentum { none, plain, nesterov };

// One element of accumulate(): its magnitude.
template <Momentum kind>
inline u32 accumulate_one(float momentum, const float* __restrict gradient, float* __restrict velocity,
                          float* __restrict residual, std::size_t i) {
  if constexpr (kind == Momentum::none) {
    residual[i] += gradient[i];
  } else {
    velocity[i] = __builtin_fmaf(momentum, velocity[i], gradient[i]);
    residual[i] += kind == Momentum::nesterov ? __builtin_fmaf(momentum, velocity[i], gradient[i]) : velocity[i];
  }
  return bits_of(residual[i]) & kMagnitude;
}

template <Momentum kind>
void accumulate_loop(float momentum, const float* __restrict gradient, float* __restrict velocity,
                     float* __restrict residual, u32* __restrict peaks, std::size_t size) {
  std::size_t at = 0;
  for (; at < size; at += kPeakBlock, peaks += kLanes) {
    u32 most[kLanes] = {};
    if (size - at >= kPeakBlock) {
      for (std::size_t i = at; i < at + kPeakBlock; i += kLanes) {
        for (std::size_t j = 0; j < kLanes; ++j) {
          most[j] = larger(most[j], accumulate_one<kind>(momentum, gradient, velocity, residual, i + j));
        }
      }
    } else {
      for (std::size_t i = at; i < size; ++i) {
        const std::size_t j = (i - at) % kLanes;
        most[j] = larger(most[j], accumulate_one<kind>(momentum, gradient, velocity, residual, i));
      }
    }
    __builtin_memcpy(peaks, most, sizeof most);
  }
}

void accumulate(float momentum, bool nesterov, const float* gradient, float* velocity, float* residual, u32* peaks,
                std::size_t size) {
  if (velocity == nullptr) {
    accumulate_loop<Momentum::none>(0, gradient, nullptr, residual, peaks, size);
  } else if (nesterov) {
    accumulate_loop<Momentum::nesterov>(momentum, gradient, velocity, residual, peaks, size);
  } else {
    accumulate_loop<Momentum::plain>(momentum, gradient, velocity, residual, peaks, size);
  }
}

float dot(const float* a, const float* b, std::size_t size) {
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] = __builtin_fmaf(a[i + j], b[i + j], lanes[j]);
  }
  for (std::size_t j = 0; i < size; ++i, ++j) lanes[j] = __builtin_fmaf(a[i], b[i], lanes[j]);
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

void axpy(float a, const float* __restrict x, float* __restrict y, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) y[i] = __builtin_fmaf(a, x[i], y[i]);
}

constexpr CodecKernels kernels_named(const char* name) {
  return {name,        bf16_encode, bf16_decode, int8_encode, int8_decode,
          accumulate,  add_to,      dot,         axpy};
}

}  // namespace

}  // namespace dl::comm
