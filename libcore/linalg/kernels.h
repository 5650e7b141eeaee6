// SPDX-License-Identifier: MIT
// The table behind an Arithmetic: one set of loops per instruction set. Private to linalg.
//
// Everything here is plain data. The sources of the sets are compiled for instructions that this
// CPU may lack, so no inline function may be shared with them: the linker would keep one copy for
// all.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dl::linalg {

// Rows of a panel. A matrix of w columns is held in panels of w x 32 floats, one after the other:
// element (r, c) is at panel r / 32, index c * 32 + r % 32.
constexpr std::uint32_t kPanel = 32;
constexpr std::uint32_t kMostLevels = 33;  // of a tree over 32-bit leaf numbers

enum class Map : std::uint8_t { none, relu, gelu, tanh, sigmoid };

struct Range {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

// y = map(x * weights^T + bias), for panels.
struct ForwardArgs {
  const float* x = nullptr;        // rows x inputs, panels
  const float* weights = nullptr;  // outputs x inputs, row-major
  const float* bias = nullptr;     // outputs
  float* y = nullptr;              // rows x outputs, panels
  float* before = nullptr;         // gelu: what the map was applied to, else unused
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  std::uint32_t rows = 0;
  Map map = Map::none;
};

// dx = (dy * weights) times the derivative of the map whose output was y.
struct BackwardArgs {
  const float* dy = nullptr;       // rows x outputs, panels
  const float* weights = nullptr;  // outputs x inputs, row-major
  float* dx = nullptr;             // rows x inputs, panels
  const float* y = nullptr;        // as dx: the map's output (gelu: its input)
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  std::uint32_t rows = 0;
  Map map = Map::none;
};

// Consecutive rows of one segment in one panel. An empty segment has one empty strip.
struct Strip {
  std::size_t x = 0;   // of its first row among rows of 32 features
  std::size_t dy = 0;  // in the panels of dy, of output 0
  std::uint32_t count = 0;
  bool last = true;  // of its segment
};

// partials[g] = sum over the segments of group g, in the canonical tree, of dy^T * x.
struct WeightGradientArgs {
  const float* x = nullptr;  // rows x inputs: panels, or row-major without padding
  bool x_in_panels = true;
  const float* dy = nullptr;               // rows x outputs, panels
  const std::uint32_t* offsets = nullptr;  // segment i is rows [offsets[i], offsets[i + 1])
  const std::uint32_t* ends = nullptr;     // or, where they do not touch, [offsets[i], ends[i])
  const std::uint32_t* groups = nullptr;   // segments of each group
  const Strip* strips = nullptr;           // of all segments; filled in by Products
  std::uint32_t group_count = 0;
  float* const* partials = nullptr;
  std::uint64_t weight_offset = 0;  // of this layer's weights in a partial
  std::uint64_t bias_offset = 0;
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  std::uint32_t rows = 0;
};

using UnaryFunction = void (*)(const float* in, float* out, std::size_t count);

struct Kernels {
  const char* name;
  // Outputs, panels of a forward product.
  void (*forward)(const ForwardArgs&, Range outputs, Range panels, float* scratch);
  // Inputs, panels of a backward product.
  void (*backward)(const BackwardArgs&, Range inputs, Range panels, float* scratch);
  void (*weight_gradient)(const WeightGradientArgs&, Range outputs, Range inputs, float* scratch);
  void (*bias_gradient)(const WeightGradientArgs&, Range outputs, float* scratch);
  // Rows of a row-major matrix without padding into panels [panels); lanes beyond `rows` become 0.
  void (*pack)(const float* from, std::uint32_t rows, std::uint32_t width, Range panels, float* to);
  void (*unpack)(const float* from, std::uint32_t rows, std::uint32_t width, Range panels,
                 float* to);
  // y = map(y), count a multiple of 32; gelu also keeps what it was applied to in `before`.
  void (*map)(Map, float* y, float* before, std::uint32_t count);
  // d *= the map's derivative, by the map's output y (gelu: its input).
  void (*derivative)(Map, float* d, const float* y, std::uint32_t count);
  UnaryFunction exp, log, tanh, erf, sigmoid, gelu, gelu_derivative;
};

// Floats of scratch that a thread needs for products of up to `rows` rows.
constexpr std::size_t scratch_floats(std::uint32_t rows) {
  constexpr std::size_t kTile = 12 * kPanel;
  constexpr std::size_t kBlock = 48 * 1056;  // of weights, copied
  const std::size_t gradient =
      (kMostLevels + 1) * kTile + (std::size_t{rows} + kPanel - 1) / kPanel * kPanel * kPanel;
  return gradient > kBlock ? gradient : kBlock;
}

const Kernels& scalar_kernels();      // runs on any CPU
const Kernels& scalar_fma_kernels();  // the same source, where the CPU has FMA
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();

}  // namespace dl::linalg
