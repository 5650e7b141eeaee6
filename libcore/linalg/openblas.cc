// SPDX-License-Identifier: MIT
#include "linalg/openblas.h"

#include <cblas.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>
#include <vector>

namespace dl::linalg {

namespace {

const Kernels* rest_of_table = nullptr;  // set once, under the lock of a static's initialisation

int as_int(std::size_t n) {
  return static_cast<int>(n);
}

void clear_dead_lanes(float* panel, std::uint32_t width, std::uint32_t rows, std::uint32_t p) {
  const std::uint32_t live = rows - std::min(rows, p * kPanel);
  for (std::uint32_t c = 0; live < kPanel && c < width; ++c) {
    std::fill(panel + c * kPanel + live, panel + (c + 1) * kPanel, 0.0F);
  }
}

// A panel of w columns is a column-major matrix of 32 x w; row-major weights are column-major
// inputs x outputs.
void forward(const ForwardArgs& args, Range outputs, Range panels, float*) {
  const std::uint32_t width = outputs.end - outputs.begin;
  for (std::uint32_t p = panels.begin; p < panels.end; ++p) {
    const std::size_t at = (std::size_t{p} * args.outputs + outputs.begin) * kPanel;
    float* y = args.y + at;
    cblas_sgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, kPanel, as_int(width),
                as_int(args.inputs), 1.0F, args.x + std::size_t{p} * args.inputs * kPanel, kPanel,
                args.weights + std::size_t{outputs.begin} * args.inputs, as_int(args.inputs), 0.0F,
                y, kPanel);
    for (std::uint32_t o = 0; o < width; ++o) {
      for (std::uint32_t lane = 0; lane < kPanel; ++lane) {
        y[o * kPanel + lane] += args.bias[outputs.begin + o];
      }
    }
    float* before = args.before == nullptr ? nullptr : args.before + at;
    rest_of_table->map(args.map, y, before, width * kPanel);
    clear_dead_lanes(y, width, args.rows, p);
    if (args.map == Map::gelu) clear_dead_lanes(before, width, args.rows, p);
  }
}

void backward(const BackwardArgs& args, Range inputs, Range panels, float*) {
  const std::uint32_t width = inputs.end - inputs.begin;
  for (std::uint32_t p = panels.begin; p < panels.end; ++p) {
    const std::size_t at = (std::size_t{p} * args.inputs + inputs.begin) * kPanel;
    cblas_sgemm(CblasColMajor, CblasNoTrans, CblasTrans, kPanel, as_int(width),
                as_int(args.outputs), 1.0F, args.dy + std::size_t{p} * args.outputs * kPanel,
                kPanel, args.weights + inputs.begin, as_int(args.inputs), 0.0F, args.dx + at,
                kPanel);
    if (args.map != Map::none) {
      rest_of_table->derivative(args.map, args.dx + at, args.y + at, width * kPanel);
    }
    clear_dead_lanes(args.dx + at, width, args.rows, p);
  }
}

// sum (outputs x inputs) = dy^T * x over one segment, panel by panel.
void segment_gradient(const WeightGradientArgs& args, Range outputs, std::uint32_t segment,
                      float* sum) {
  const std::uint32_t width = outputs.end - outputs.begin;
  const std::uint32_t first = args.offsets[segment];
  const std::uint32_t last = args.offsets[segment + 1];
  std::memset(sum, 0, std::size_t{width} * args.inputs * sizeof(float));
  for (std::uint32_t r = first; r < last; r += kPanel) {
    const std::size_t p = r / kPanel;
    cblas_sgemm(CblasColMajor, CblasTrans, CblasNoTrans, as_int(args.inputs), as_int(width), kPanel,
                1.0F, args.x + p * args.inputs * kPanel, kPanel,
                args.dy + (p * args.outputs + outputs.begin) * kPanel, kPanel, 1.0F, sum,
                as_int(args.inputs));
  }
}

// Whole leaves wait in `levels`, as in products.inc; called by one thread at a time per thread's
// own storage.
void weight_gradient(const WeightGradientArgs& args, Range outputs, Range, float*) {
  thread_local std::vector<float> levels;
  const std::size_t size = std::size_t{outputs.end - outputs.begin} * args.inputs;
  std::uint32_t segment = 0;
  for (std::uint32_t g = 0; g < args.group_count; ++g) {
    float* to = args.partials[g] + args.weight_offset + std::size_t{outputs.begin} * args.inputs;
    const std::uint32_t leaves = args.groups[g];
    if (leaves == 0) std::memset(to, 0, size * sizeof(float));
    levels.resize(std::max(levels.size(), std::bit_width(leaves) * size));
    for (std::uint32_t leaf = 0; leaf < leaves; ++leaf, ++segment) {
      segment_gradient(args, outputs, segment, to);
      const bool last = leaf + 1 == leaves;
      std::uint32_t level = 0;
      for (; last ? leaf >> level != 0 : (leaf >> level & 1U) != 0; ++level) {
        if ((leaf >> level & 1U) == 0) continue;
        const float* left = levels.data() + level * size;
        for (std::size_t i = 0; i < size; ++i) to[i] = left[i] + to[i];
      }
      if (!last) std::memcpy(levels.data() + level * size, to, size * sizeof(float));
    }
  }
}

}  // namespace

const Kernels& openblas_kernels(const Kernels& rest) {
  static const Kernels kernels = [&rest] {
    openblas_set_num_threads(1);
    rest_of_table = &rest;
    Kernels table = rest;
    table.name = "openblas";
    table.forward = forward;
    table.backward = backward;
    table.weight_gradient = weight_gradient;
    return table;
  }();
  return kernels;
}

std::string openblas_core() {
  std::string name = openblas_get_corename();
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace dl::linalg
