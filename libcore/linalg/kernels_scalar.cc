// SPDX-License-Identifier: MIT
// The oracle: the definition of every product, written as plainly as it reads.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "linalg/kernels.h"

namespace dl::linalg {

namespace {

#include "linalg/scalar_vector.inc"

#include "linalg/elementary.inc"

std::size_t at(std::uint32_t row, std::uint32_t column, std::uint32_t width) {
  return (std::size_t{row / kPanel} * width + column) * kPanel + row % kPanel;
}

float map_of(Map map, float z) {
  switch (map) {
    case Map::none:
      return z;
    case Map::relu:
      return relu_of<One>(z);
    case Map::gelu:
      return gelu_of<One>(z);
    case Map::tanh:
      return tanh_of<One>(z);
    case Map::sigmoid:
      return sigmoid_of<One>(z);
  }
  return z;
}

void forward(const ForwardArgs& args, Range outputs, Range panels, float*) {
  for (std::uint32_t row = panels.begin * kPanel; row < panels.end * kPanel; ++row) {
    for (std::uint32_t o = outputs.begin; o < outputs.end; ++o) {
      float z = args.bias[o];
      for (std::uint32_t i = 0; i < args.inputs; ++i) {
        z = std::fma(args.weights[std::size_t{o} * args.inputs + i],
                     args.x[at(row, i, args.inputs)], z);
      }
      const std::size_t to = at(row, o, args.outputs);
      if (args.map == Map::gelu) args.before[to] = row < args.rows ? z : 0.0F;
      args.y[to] = row < args.rows ? map_of(args.map, z) : 0.0F;
    }
  }
}

void backward(const BackwardArgs& args, Range inputs, Range panels, float*) {
  for (std::uint32_t row = panels.begin * kPanel; row < panels.end * kPanel; ++row) {
    for (std::uint32_t i = inputs.begin; i < inputs.end; ++i) {
      float d = 0.0F;
      for (std::uint32_t o = 0; o < args.outputs; ++o) {
        d = std::fma(args.weights[std::size_t{o} * args.inputs + i],
                     args.dy[at(row, o, args.outputs)], d);
      }
      const std::size_t to = at(row, i, args.inputs);
      const float y = args.map == Map::none ? 0.0F : args.y[to];
      args.dx[to] = row < args.rows ? times_derivative<One>(args.map, d, y) : 0.0F;
    }
  }
}

// The sum of leaf(i) over [begin, end) in the canonical tree (base/tree.h).
template <class Leaf>
float tree(std::uint32_t begin, std::uint32_t end, const Leaf& leaf) {
  if (begin == end) return 0.0F;
  if (end - begin == 1) return leaf(begin);
  std::uint32_t left = 1;
  while (left * 2 < end - begin) left *= 2;
  return tree(begin, begin + left, leaf) + tree(begin + left, end, leaf);
}

void weight_gradient(const WeightGradientArgs& args, Range outputs, Range inputs, float*) {
  for (std::uint32_t o = outputs.begin; o < outputs.end; ++o) {
    for (std::uint32_t i = inputs.begin; i < inputs.end; ++i) {
      const auto chain = [&](std::uint32_t segment) {
        float sum = 0.0F;
        for (std::uint32_t r = args.offsets[segment]; r < args.offsets[segment + 1]; ++r) {
          const float x = args.x_in_panels ? args.x[at(r, i, args.inputs)]
                                           : args.x[std::size_t{r} * args.inputs + i];
          sum = std::fma(args.dy[at(r, o, args.outputs)], x, sum);
        }
        return sum;
      };
      std::uint32_t first = 0;
      for (std::uint32_t g = 0; g < args.group_count; ++g) {
        args.partials[g][args.weight_offset + std::size_t{o} * args.inputs + i] =
            tree(first, first + args.groups[g], chain);
        first += args.groups[g];
      }
    }
  }
}

void bias_gradient(const WeightGradientArgs& args, Range outputs, float*) {
  for (std::uint32_t o = outputs.begin; o < outputs.end; ++o) {
    const auto chain = [&](std::uint32_t segment) {
      float sum = 0.0F;
      for (std::uint32_t r = args.offsets[segment]; r < args.offsets[segment + 1]; ++r) {
        sum += args.dy[at(r, o, args.outputs)];
      }
      return sum;
    };
    std::uint32_t first = 0;
    for (std::uint32_t g = 0; g < args.group_count; ++g) {
      args.partials[g][args.bias_offset + o] = tree(first, first + args.groups[g], chain);
      first += args.groups[g];
    }
  }
}

void pack(const float* from, std::uint32_t rows, std::uint32_t width, Range panels, float* to) {
  for (std::uint32_t row = panels.begin * kPanel; row < panels.end * kPanel; ++row) {
    for (std::uint32_t c = 0; c < width; ++c) {
      to[at(row, c, width)] = row < rows ? from[std::size_t{row} * width + c] : 0.0F;
    }
  }
}

void unpack(const float* from, std::uint32_t rows, std::uint32_t width, Range panels, float* to) {
  for (std::uint32_t row = panels.begin * kPanel; row < panels.end * kPanel && row < rows; ++row) {
    for (std::uint32_t c = 0; c < width; ++c) {
      to[std::size_t{row} * width + c] = from[at(row, c, width)];
    }
  }
}

void map(Map map, float* y, float* before, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (map == Map::gelu) before[i] = y[i];
    y[i] = map_of(map, y[i]);
  }
}

void derivative(Map map, float* d, const float* y, std::uint32_t count) {
  for (std::uint32_t i = 0; map != Map::none && i < count; ++i) {
    d[i] = times_derivative<One>(map, d[i], y[i]);
  }
}

template <float (*F)(float)>
void each(const float* in, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = F(in[i]);
}

}  // namespace

// Compiled twice: for any CPU, where std::fma is a call, and for one with the instruction.
const Kernels& DL_SCALAR_KERNELS() {
  static const Kernels kernels = {
      "scalar",
      forward,
      backward,
      weight_gradient,
      bias_gradient,
      pack,
      unpack,
      map,
      derivative,
      each<exp_of<One>>,
      each<log_of<One>>,
      each<tanh_of<One>>,
      each<erf_of<One>>,
      each<sigmoid_of<One>>,
      each<gelu_of<One>>,
      each<gelu_derivative_of<One>>,
  };
  return kernels;
}

}  // namespace dl::linalg
