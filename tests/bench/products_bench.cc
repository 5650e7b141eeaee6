// SPDX-License-Identifier: MIT
// Each product of 784-512-512-10 in defined order against one OpenBLAS call of the same shape (no
// bias, no activation, no segments: what OpenBLAS does in one call), one thread.
#include <cblas.h>
#include <fmt/format.h>

#include <cstdlib>
#include <vector>

#include "linalg/products.h"
#include "turns.h"

namespace {

using namespace dl::linalg;

struct Shape {
  std::uint32_t rows, inputs, outputs;
};

struct Arrays {
  explicit Arrays(const Shape& s)
      : x(panel_floats(s.rows, s.inputs)),
        weights(std::size_t{s.inputs} * s.outputs),
        bias(s.outputs),
        y(panel_floats(s.rows, s.outputs)),
        dx(x.size()),
        gradient(weights.size() + s.outputs) {
    float value = 0.3F;
    for (Buffer* buffer : {&x, &weights, &bias, &y}) {
      for (float& number : buffer->span())
        number = value = value * 3.7F - static_cast<int>(value * 3.7F);
    }
  }
  Buffer x, weights, bias, y, dx, gradient;
};

std::vector<std::uint32_t> even_offsets(std::uint32_t rows, std::uint32_t segments) {
  std::vector<std::uint32_t> offsets;
  for (std::uint32_t i = 0; i <= segments; ++i) offsets.push_back(rows * i / segments);
  return offsets;
}

void measure(const Shape& s, Products& products, unsigned turns) {
  Arrays ours(s), theirs(s);
  const int rows = static_cast<int>(s.rows), in = static_cast<int>(s.inputs),
            out = static_cast<int>(s.outputs);
  const double flops = 2.0 * s.rows * s.inputs * s.outputs;
  const auto report = [&](const char* name, const std::function<void()>& own,
                          const std::function<void()>& blas) {
    std::vector<dl::bench::Contender> both = {{own, {}, 1}, {blas, {}, 1}};
    dl::bench::take_turns(both, turns, 0.004);
    fmt::print("{:>5} {:>5} {:>5}  {:<22} {:>7.1f} {:>7.1f}  {:.2f}\n", s.rows, s.inputs, s.outputs,
               name, flops / dl::bench::median(both[0].seconds) * 1e-9,
               flops / dl::bench::median(both[1].seconds) * 1e-9,
               dl::bench::speed_ratio(both[0], both[1]));
  };
  report(
      "forward + bias, relu",
      [&] {
        products.forward({ours.x.data(), ours.weights.data(), ours.bias.data(), ours.y.data(),
                          nullptr, s.inputs, s.outputs, s.rows, Map::relu});
      },
      [&] {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, out, in, 1.0F, theirs.x.data(),
                    in, theirs.weights.data(), in, 0.0F, theirs.y.data(), out);
      });
  report(
      "backward + relu'",
      [&] {
        products.backward({ours.y.data(), ours.weights.data(), ours.dx.data(), ours.x.data(),
                           s.inputs, s.outputs, s.rows, Map::relu});
      },
      [&] {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, in, out, 1.0F, theirs.y.data(),
                    out, theirs.weights.data(), in, 0.0F, theirs.dx.data(), in);
      });
  for (const std::uint32_t segments : {1U, 8U}) {
    const std::vector<std::uint32_t> offsets = even_offsets(s.rows, segments);
    float* const partial = ours.gradient.data();
    WeightGradientArgs args;
    args.x = ours.x.data();
    args.dy = ours.y.data();
    args.offsets = offsets.data();
    args.groups = &segments;
    args.group_count = 1;
    args.partials = &partial;
    args.bias_offset = ours.weights.size();
    args.inputs = s.inputs;
    args.outputs = s.outputs;
    args.rows = s.rows;
    report(
        segments == 1 ? "gradient, 1 segment" : "gradient, 8 segments",
        [&] {
          products.gradient(args, {0, s.outputs}, true);
        },
        [&] {
          cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, rows, 1.0F, theirs.y.data(),
                      out, theirs.x.data(), in, 0.0F, theirs.gradient.data(), in);
        });
  }
}

}  // namespace

// products_bench [TURNS] [KERNEL]
int main(int argc, char** argv) {
  openblas_set_num_threads(1);
  dl::flush_denormals();
  const unsigned turns = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 41;
  const Arithmetic arithmetic = choose(argc > 2 ? argv[2] : "automatic", "defined");
  dl::Workers workers(1);
  Products products(arithmetic, workers);
  fmt::print("kernel {}, OpenBLAS {}; GFLOP/s ours, theirs, median ratio\n",
             arithmetic.kernel_name(), openblas_get_corename());
  for (const std::uint32_t rows : {128U, 32U}) {
    for (const auto& [in, out] :
         {std::pair{784U, 512U}, std::pair{512U, 512U}, std::pair{512U, 10U}}) {
      measure({rows, in, out}, products, turns);
    }
  }
  measure({128, 2048, 2048}, products, turns / 4 + 1);
}
