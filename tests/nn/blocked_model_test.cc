// SPDX-License-Identifier: MIT
#include "nn/blocked_model.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "linalg/products.h"
#include "nn/model.h"

using namespace dl;

namespace {

nn::Batch batch_of(std::uint32_t features) {
  nn::Batch batch;
  batch.offsets = {0, 20, 20, 57, 70};
  batch.rows = 70;
  Rng rng(5, Purpose::test, 0);
  for (std::uint32_t i = 0; i < batch.rows * features; ++i) batch.features.push_back(rng.uniform(-1, 1));
  for (std::uint32_t i = 0; i < batch.rows; ++i) batch.classes.push_back(i % 3);
  return batch;
}

}  // namespace

TEST_CASE("blocked model: one rank with all blocks has the model's gradient, but for rounding") {
  flush_denormals();
  Workers workers(1);
  const auto arithmetic = linalg::Arithmetic::defined();
  for (const char* text : {"dense 24 relu", "dense 17 gelu; dense 13 tanh; dense 19 relu", "dense 9 tanh; dense 11 gelu"}) {
    const nn::ModelSpec spec = nn::parse_model(text, "model", {5, 3, nn::Loss::softmax_cross_entropy});
    const nn::Batch batch = batch_of(5);
    nn::Model model(spec, arithmetic, workers);
    model.initialise(3);
    std::vector<float> wanted(spec.parameter_count());
    std::vector<double> losses(4), blocked_losses(4);
    const std::vector<std::uint32_t> groups = {4};
    float* const partial = wanted.data();
    model.backprop(batch, groups, {&partial, 1}, losses, [](std::size_t) {});

    const nn::Blocking blocking(spec, 8);
    nn::BlockedModel blocked(spec, blocking, {0, 1, 2, 3, 4, 5, 6, 7}, arithmetic, workers);
    const auto each_run = [&](const auto& visit) {  // visit(runs, where they are in blocked order)
      visit(blocking.common(), blocked.common().begin);
      for (std::uint32_t b = 0; b < 8; ++b) visit(blocking.block(b), blocked.block(b).begin);
    };
    each_run([&](const auto& runs, std::uint64_t at) {
      nn::gather(runs, model.parameters(), blocked.parameters().data() + at);
    });
    std::vector<std::uint64_t> begins;
    std::uint64_t size = 0;
    for (const std::uint32_t width : blocking.sums()) {
      begins.push_back(size);
      size += linalg::panel_floats(batch.rows, width);
    }
    std::vector<float> part(size);
    float* const sums = part.data();
    blocked.backprop(batch, {{&sums, 1}, sums, begins, [](std::size_t) {}, [](std::size_t) {}}, blocked_losses);
    std::vector<float> gradient(spec.parameter_count());
    each_run([&](const auto& runs, std::uint64_t at) { nn::scatter(runs, blocked.gradient().data() + at, gradient); });
    double difference = 0, squares = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      difference += std::pow(double{gradient[i]} - wanted[i], 2);
      squares += std::pow(double{wanted[i]}, 2);
    }
    CHECK(std::sqrt(difference / squares) < 1e-5);
    CHECK(squares > 0);
    for (std::size_t i = 0; i < 4; ++i) CHECK(blocked_losses[i] == doctest::Approx(losses[i]).epsilon(1e-5));
  }
}
