// SPDX-License-Identifier: MIT
// A whole training step (forward, backward, momentum) on one thread, with one segment and with
// eight, in turn with a loop of nothing but multiply-adds that shows what the clock allows at the
// moment.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "base/rng.h"
#include "linalg/buffer.h"
#include "linalg/kernels.h"
#include "nn/model.h"
#include "optim/optimizer.h"
#include "turns.h"

namespace {

using namespace dl::nn;
using dl::linalg::Buffer;

class Training {
 public:
  Training(const ModelSpec& spec, const dl::linalg::Arithmetic& arithmetic, dl::Workers& workers,
           std::uint32_t rows, std::uint32_t segments)
      : model_(spec, arithmetic, workers),
        gradient_(spec.parameter_count()),
        momentum_(spec.parameter_count()),
        losses_(segments),
        groups_{segments} {
    model_.initialise(1);
    dl::Rng rng(1, dl::Purpose::test);
    batch_.rows = rows;
    for (std::uint64_t i = 0; i < std::uint64_t{rows} * spec.ends.inputs; ++i) {
      batch_.features.push_back(rng.uniform());
    }
    for (std::uint32_t i = 0; i < rows; ++i) {
      batch_.classes.push_back(static_cast<std::uint32_t>(rng.below(spec.ends.outputs)));
    }
    for (std::uint32_t i = 1; i <= segments; ++i) batch_.offsets.push_back(rows * i / segments);
  }

  void step() {
    float* const partial = gradient_.data();
    model_.backprop(batch_, groups_, {&partial, 1}, losses_, [](std::size_t) {});
    const std::span<float> slot = momentum_.span();
    const dl::optim::StepFactors factors = {1, 1e-3F, 1.0F / static_cast<float>(batch_.rows)};
    dl::optim::update(optimizer_, factors, model_.parameters(), gradient_.span(), {&slot, 1});
  }

 private:
  Model model_;
  Buffer gradient_, momentum_;
  std::vector<double> losses_;
  std::vector<std::uint32_t> groups_;
  Batch batch_;
  dl::optim::OptimizerSpec optimizer_{.kind = dl::optim::Kind::momentum};
};

ModelSpec network(std::uint32_t hidden) {
  return {{784, 10, Loss::softmax_cross_entropy},
          {{784, hidden, Activation::relu, Initialisation::automatic},
           {hidden, hidden, Activation::relu, Initialisation::automatic},
           {hidden, 10, Activation::none, Initialisation::automatic}}};
}

// 2^20 vector multiply-adds in twelve chains, from memory that stays in the L1 cache.
constexpr double kProbeFlops = 2.0 * 32 * 1024 * 1024;
float probe(const dl::linalg::Kernels& kernels) {
  constexpr std::uint32_t kDepth = 128, kOutputs = 24;
  alignas(64) static std::array<float, kDepth * 32> x;
  alignas(64) static std::array<float, kDepth * kOutputs> weights;
  alignas(64) static std::array<float, 32 * kOutputs> y;
  static std::array<float, kOutputs> bias;
  static Buffer scratch(dl::linalg::scratch_floats(32));
  const auto calls = static_cast<int>(kProbeFlops / (2.0 * 32 * kDepth * kOutputs));
  for (int i = 0; i < calls; ++i) {
    kernels.forward({x.data(), weights.data(), bias.data(), y.data(), nullptr, kDepth, kOutputs, 32,
                     dl::linalg::Map::none},
                    {0, kOutputs}, {0, 1}, scratch.data());
  }
  return y[0];
}

}  // namespace

// step_bench [TURNS] [KERNEL] [ARITHMETIC]
int main(int argc, char** argv) {
  dl::flush_denormals();
  const unsigned turns = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 31;
  const auto arithmetic =
      dl::linalg::choose(argc > 2 ? argv[2] : "automatic", argc > 3 ? argv[3] : "defined");
  const dl::linalg::Kernels& probed = dl::linalg::choose("automatic", "defined").kernels();
  dl::Workers workers(1);
  fmt::print("{}, kernel {}, one thread, momentum\n", arithmetic.name(), arithmetic.kernel_name());
  fmt::print("{:<18} {:>5} {:>12} {:>12} {:>8} {:>8} {:>10}\n", "network", "batch", "1 segment",
             "8 segments", "price", "GFLOP/s", "L1 GFLOP/s");
  for (const auto& [hidden, rows] :
       {std::pair{512U, 128U}, std::pair{512U, 32U}, std::pair{2048U, 128U}}) {
    const ModelSpec spec = network(hidden);
    Training one(spec, arithmetic, workers, rows, 1), eight(spec, arithmetic, workers, rows, 8);
    std::vector<dl::bench::Contender> runs = {{[&] { one.step(); }, {}, 1},
                                              {[&] { eight.step(); }, {}, 1},
                                              {[&] { (void)probe(probed); }, {}, 1}};
    dl::bench::take_turns(runs, turns, 0.01);
    const double flops = 2.0 * rows * (784.0 * hidden * 2 + 3.0 * hidden * hidden + 30.0 * hidden);
    const double seconds = dl::bench::median(runs[0].seconds);
    fmt::print(
        "784-{0}-{0}-10{1:<4} {2:>5} {3:>10.0f}/s {4:>10.0f}/s {5:>7.1f}% {6:>8.1f} {7:>10.1f}\n",
        hidden, "", rows, rows / seconds, rows / dl::bench::median(runs[1].seconds),
        100.0 * (dl::bench::speed_ratio(runs[0], runs[1]) - 1.0), flops / seconds * 1e-9,
        kProbeFlops / dl::bench::median(runs[2].seconds) * 1e-9);
  }
}
