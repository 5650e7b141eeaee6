// SPDX-License-Identifier: MIT
// The products of a dense layer, over a team of threads.
//
// Definition (every operation rounded to float32, k ascending):
//   forward   y[r][o]  = map(z), z = bias[o], then z = fma(weights[o][k], x[r][k], z)
//   backward  dx[r][i] = d * map'(y[r][i]), d = 0, then d = fma(weights[k][i], dy[r][k], d)
//   gradient  dw[o][i] = per segment g = 0, then g = fma(dy[k][o], x[k][i], g) over its rows;
//             segments' sums are added in the canonical tree of their group (base/tree.h)
//             db[o]    = the same with g + dy[k][o]
// Maps: relu is 0 where z <= 0 and z elsewhere (NaN stays NaN); its derivative is 0 where y <= 0.
// Rows live in panels of 32 (kernels.h); lanes beyond the last row are zero.
#pragma once

#include <vector>

#include "base/workers.h"
#include "linalg/arithmetic.h"
#include "linalg/buffer.h"
#include "linalg/kernels.h"

namespace dl::linalg {

constexpr std::uint32_t panels_of(std::uint32_t rows) {
  return (rows + kPanel - 1) / kPanel;
}
constexpr std::size_t panel_floats(std::uint32_t rows, std::uint32_t width) {
  return std::size_t{panels_of(rows)} * kPanel * width;
}

// Belongs to the thread that owns `workers`, which must outlive it. The arguments' arrays may have
// any alignment; they are fastest at 64 bytes. Allocates only when it meets more rows or
// segments than before.
class Products {
 public:
  Products(const Arithmetic& arithmetic, Workers& workers);

  const Arithmetic& arithmetic() const { return arithmetic_; }

  void forward(const ForwardArgs& args);
  void backward(const BackwardArgs& args);
  // d *= the map's derivative by the map's output y (gelu: its input): what backward() ends with, where
  // d comes from elsewhere. `floats` of panels.
  void derivative(Map map, float* d, const float* y, std::size_t floats);
  // y = map(bias + y): what forward() ends with, where y's chains were added elsewhere. `x` and `weights` are
  // not looked at.
  void finish_forward(const ForwardArgs& args);
  // Rows `outputs` of the weights' gradients; of the biases' all, where `with_bias`.
  void gradient(WeightGradientArgs args, Range outputs, bool with_bias);
  // Row-major without padding to panels, and back.
  void pack(const float* from, std::uint32_t rows, std::uint32_t width, float* to);
  void unpack(const float* from, std::uint32_t rows, std::uint32_t width, float* to);

 private:
  template <class Work>
  void divide(std::uint32_t columns, std::uint32_t panels, double multiplications,
              const Work& work);
  float* scratch(unsigned member) { return scratch_[member].data(); }
  void reserve(std::uint32_t rows);
  void cut_strips(const WeightGradientArgs& args);

  Arithmetic arithmetic_;
  Workers& workers_;
  std::vector<Buffer> scratch_;  // one per member of the team
  std::vector<Strip> strips_;
};

}  // namespace dl::linalg
