// SPDX-License-Identifier: MIT
// The loops of the codecs, compiled once for each instruction set; private to comm, its tests and benchmarks.
//
// Every operation is on integers or correctly rounded by IEEE 754, and sums across elements have a fixed order,
// so each instruction set gives the same bits. Denormals are flushed by the thread (base/workers.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace dl::comm {

inline constexpr std::size_t kBlock = 128;      // elements that share a scale in int8
inline constexpr std::size_t kPeakBlock = 256;  // elements that have kPeakLanes peaks
inline constexpr std::size_t kPeakLanes = 16;
inline constexpr std::size_t peaks_of(std::size_t size) {
  return (size + kPeakBlock - 1) / kPeakBlock * kPeakLanes;
}

// Where the random numbers of a range of elements come from: block b of the range takes the 16 blocks
// Philox(counter {16 b + lane, begin, group, step}, key {seed, purpose}), lane = 0 .. 15. Of word j of lane l,
// the lower half is for element 32 j + l of the block of 128, the upper half for element 32 j + 16 + l.
struct RandomPlace {
  std::uint32_t key[2];
  std::uint32_t begin, group, step;
};

struct CodecKernels {
  const char* name;

  // residual += gradient; code = the nearest bfloat16 (ties to even); residual -= code. False where one is
  // not finite: then neither output means anything.
  bool (*bf16_encode)(const float* gradient, float* residual, std::uint16_t* code, std::size_t size);
  // False where a code is no finite number.
  bool (*bf16_decode)(const std::uint16_t* code, float* out, std::size_t size);

  // Blocks of 128 elements, the last one may be shorter: a float32 scale, then one signed byte for each.
  // With u = residual + gradient: scale = max |u| / 127, y = u * (1 / scale), byte = floor(y + r) kept within
  // +-127, where r = a 16-bit random number / 65536; residual = u - byte * scale. False where a scale is not finite
  // or above 2^120.
  bool (*int8_encode)(const RandomPlace& place, const float* gradient, float* residual, std::byte* code,
                      std::size_t size);
  bool (*int8_decode)(const std::byte* code, float* out, std::size_t size);

  // velocity = fma(momentum, velocity, gradient); residual += velocity, or with `nesterov`
  // residual += fma(momentum, velocity, gradient). Where velocity is null: residual += gradient. For each block of 256
  // elements, 16 peaks: number l is the largest magnitude, as its bits, of the block's elements i with i % 16 = l.
  void (*accumulate)(float momentum, bool nesterov, const float* gradient, float* velocity, float* residual,
                     std::uint32_t* peaks, std::size_t size);
  // residual += gradient; the largest magnitude of residual, as its bits.
  std::uint32_t (*add)(const float* gradient, float* residual, std::size_t size);

  // The dot product in 16 lanes, element i in lane i % 16, each a chain of fma in index order; then lane j + lane
  // j+8, j + j+4, j + j+2, j + j+1.
  float (*dot)(const float* a, const float* b, std::size_t size);
  // y = fma(a, x, y) for each element.
  void (*axpy)(float a, const float* x, float* y, std::size_t size);
};

const CodecKernels& baseline_codec_kernels();
const CodecKernels& avx2_codec_kernels();    // call only where the processor has AVX2 and FMA
const CodecKernels& avx512_codec_kernels();  // call only where the processor has AVX-512F and AVX-512BW

// The widest that this processor has.
const CodecKernels& best_codec_kernels();

}  // namespace dl::comm
