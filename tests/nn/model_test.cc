// SPDX-License-Identifier: MIT
#include "nn/model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "base/tree.h"
#include "nn/loss.h"
#include "nn/reference.h"

namespace {

using namespace dl::nn;
using dl::Purpose;
using dl::Rng;
using dl::Workers;
using dl::linalg::Arithmetic;
using dl::linalg::Kernel;
using Floats = std::vector<float>;
using Counts = std::vector<std::uint32_t>;

Batch random_batch(const Ends& ends, const Counts& segments, bool weighted, std::uint64_t seed) {
  Rng rng(seed, Purpose::test);
  Batch batch;
  for (const std::uint32_t rows : segments) {
    batch.rows += rows;
    batch.offsets.push_back(batch.rows);
  }
  for (std::uint32_t r = 0; r < batch.rows; ++r) {
    for (std::uint32_t i = 0; i < ends.inputs; ++i) {
      batch.features.push_back(rng.uniform(-1.0F, 1.0F));
    }
    if (ends.loss == Loss::softmax_cross_entropy) {
      batch.classes.push_back(static_cast<std::uint32_t>(rng.below(ends.outputs)));
    } else {
      for (std::uint32_t o = 0; o < ends.outputs; ++o) {
        batch.numbers.push_back(rng.uniform(-2.0F, 2.0F));
      }
    }
    if (weighted) batch.weights.push_back(rng.uniform(0.0F, 3.0F));
  }
  return batch;
}

// Segments [begin, end) of a batch, as another node would hold them.
Batch part_of(const Batch& all, const Ends& ends, std::uint32_t begin, std::uint32_t end) {
  const std::uint32_t first = all.offsets[begin], last = all.offsets[end];
  const auto cut = [&](const auto& values, std::size_t width) {
    using Values = std::decay_t<decltype(values)>;
    if (values.empty()) return Values();
    return Values(values.begin() + static_cast<std::ptrdiff_t>(first * width),
                  values.begin() + static_cast<std::ptrdiff_t>(last * width));
  };
  Batch batch;
  batch.rows = last - first;
  batch.features = cut(all.features, ends.inputs);
  batch.classes = cut(all.classes, 1);
  batch.numbers = cut(all.numbers, ends.outputs);
  batch.weights = cut(all.weights, 1);
  for (std::uint32_t i = begin; i < end; ++i) batch.offsets.push_back(all.offsets[i + 1] - first);
  return batch;
}

struct Gradient {
  std::vector<Floats> partials;
  std::vector<double> losses;
  bool operator==(const Gradient&) const = default;
};

Gradient backprop(Model& model, const Batch& batch, const Counts& groups) {
  Gradient gradient;
  gradient.losses.assign(batch.segments(), -1.0);
  gradient.partials.assign(groups.size(), Floats(model.parameters().size(), 1e30F));
  std::vector<float*> pointers;
  for (Floats& partial : gradient.partials) pointers.push_back(partial.data());
  std::size_t next = 0;
  model.backprop(batch, groups, pointers, gradient.losses, [&](std::size_t b) {
    CHECK(b == next++);
    if (b == 0) {
      for (const double loss : gradient.losses) CHECK(loss >= 0.0);
    }
  });
  CHECK(next == model.buckets().size());
  return gradient;
}

Gradient backprop(const ModelSpec& spec, const Arithmetic& arithmetic, unsigned threads,
                  const Batch& batch, const Counts& groups) {
  Workers workers(threads);
  Model model(spec, arithmetic, workers);
  model.initialise(3);
  return backprop(model, batch, groups);
}

ModelSpec small_model(Activation activation, const Ends& ends) {
  return {ends,
          {{ends.inputs, 9, activation, Initialisation::automatic},
           {9, 6, activation, Initialisation::automatic},
           {6, ends.outputs, Activation::none, Initialisation::automatic}}};
}

constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::gelu,
                                       Activation::tanh, Activation::sigmoid};

void check_gradient(const Arithmetic& arithmetic, const ModelSpec& spec, bool weighted) {
  Workers workers(1);
  Model model(spec, arithmetic, workers);
  model.initialise(11);
  Rng rng(5, Purpose::test);
  for (float& parameter : model.parameters()) parameter += rng.uniform(-0.1F, 0.1F);
  const Batch batch = random_batch(spec.ends, {5, 0, 7}, weighted, 8);
  const Gradient gradient = backprop(model, batch, {3});
  std::vector<double> parameters(model.parameters().begin(), model.parameters().end());
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(gradient.losses[i] ==
          doctest::Approx(
              reference::loss(spec, parameters, batch, batch.offsets[i], batch.offsets[i + 1]))
              .epsilon(1e-5));
  }
  double worst = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    constexpr double kStep = 1e-6;
    const double here = parameters[i];
    parameters[i] = here + kStep;
    const double above = reference::loss(spec, parameters, batch, 0, batch.rows);
    parameters[i] = here - kStep;
    const double below = reference::loss(spec, parameters, batch, 0, batch.rows);
    parameters[i] = here;
    const double slope = (above - below) / (2 * kStep);
    worst = std::max(worst,
                     std::fabs(slope - gradient.partials[0][i]) / std::max(1.0, std::fabs(slope)));
  }
  CHECK(worst < 2e-5);
}

}  // namespace

TEST_CASE("model: gradients are the slopes of the loss, for every activation and both losses") {
  dl::flush_denormals();
  for (const Activation activation : kActivations) {
    for (const Loss loss : {Loss::softmax_cross_entropy, Loss::squared_error}) {
      CAPTURE(static_cast<int>(activation));
      CAPTURE(static_cast<int>(loss));
      const ModelSpec spec = small_model(activation, {7, 3, loss});
      for (const Kernel kernel : dl::linalg::available_kernels()) {
        check_gradient(Arithmetic::defined(kernel), spec, kernel != Kernel::scalar);
      }
      check_gradient(Arithmetic::openblas(), spec, true);
    }
  }
}

TEST_CASE("model: linear regression on two rows, by hand") {
  // y = 2a - b + 0.5; rows (1, 2) -> 0 and (3, -1) -> 7.5: differences 0.5 and 0.
  const ModelSpec spec{{2, 1, Loss::squared_error},
                       {{2, 1, Activation::none, Initialisation::automatic}}};
  Workers workers(1);
  Model model(spec, Arithmetic::defined(), workers);
  const Floats parameters = {2.0F, -1.0F, 0.5F};
  std::ranges::copy(parameters, model.parameters().begin());
  Batch batch;
  batch.rows = 2;
  batch.features = {1, 2, 3, -1};
  batch.numbers = {0, 7.5F};
  batch.offsets = {0, 1, 2};
  const Gradient gradient = backprop(model, batch, {1, 1});
  CHECK(gradient.losses == std::vector<double>{0.125, 0.0});
  CHECK(gradient.partials[0] == Floats{0.5F, 1.0F, 0.5F});
  CHECK(gradient.partials[1] == Floats{0.0F, 0.0F, 0.0F});
  Floats out(2);
  model.predict(batch.features, 2, out);
  CHECK(out == Floats{0.5F, 7.5F});
}

TEST_CASE("model: the bits do not depend on threads, kernels, or who holds which segments") {
  dl::flush_denormals();
  const Ends ends{40, 10, Loss::softmax_cross_entropy};
  const Counts segments = {5, 0, 9, 33, 1, 12, 7, 0};
  for (const Activation activation : kActivations) {
    CAPTURE(static_cast<int>(activation));
    ModelSpec spec = small_model(activation, ends);
    spec.layers[0].outputs = spec.layers[1].inputs = 100;
    const Batch batch = random_batch(ends, segments, activation == Activation::relu, 9);
    const Gradient whole = backprop(spec, Arithmetic::defined(Kernel::scalar), 1, batch, {8});
    for (const Kernel kernel : dl::linalg::available_kernels()) {
      const Arithmetic arithmetic = Arithmetic::defined(kernel);
      CAPTURE(arithmetic.kernel_name());
      for (const unsigned threads : {1U, 2U, 5U}) {
        CHECK(backprop(spec, arithmetic, threads, batch, {8}) == whole);
      }
      // Two nodes, cut where neither half is a complete subtree.
      const Arithmetic other = Arithmetic::defined();
      const Gradient left = backprop(spec, arithmetic, 1, part_of(batch, ends, 0, 3), {2, 1});
      const Gradient right = backprop(spec, other, 2, part_of(batch, ends, 3, 8), {1, 4});
      std::vector<Floats> parts = left.partials;
      parts.insert(parts.end(), right.partials.begin(), right.partials.end());
      const std::vector<dl::ShardRange> ranges = {{0, 2}, {2, 3}, {3, 4}, {4, 8}};
      for (const dl::Addition& addition : dl::tree_additions(8, ranges)) {
        for (std::size_t i = 0; i < parts[0].size(); ++i) {
          parts[addition.left][i] += parts[addition.right][i];
        }
      }
      CHECK(parts[0] == whole.partials[0]);
      std::vector<double> losses = left.losses;
      losses.insert(losses.end(), right.losses.begin(), right.losses.end());
      CHECK(losses == whole.losses);
    }
  }
}

TEST_CASE("model: with OpenBLAS a segment's bits do not depend on who holds the others") {
  const Ends ends{40, 10, Loss::softmax_cross_entropy};
  const ModelSpec spec = small_model(Activation::relu, ends);
  const Batch batch = random_batch(ends, {5, 0, 40, 7}, true, 4);
  const Counts apart = {1, 1, 1, 1};
  const Gradient whole = backprop(spec, Arithmetic::openblas(), 1, batch, apart);
  for (std::uint32_t i = 0; i < 4; ++i) {
    const Gradient alone =
        backprop(spec, Arithmetic::openblas(), 2, part_of(batch, ends, i, i + 1), {1});
    CHECK(alone.partials[0] == whole.partials[i]);
    CHECK(alone.losses[0] == whole.losses[i]);
  }
}

TEST_CASE("model: a row's weight multiplies its loss and gradient") {
  const Ends ends{6, 4, Loss::softmax_cross_entropy};
  const ModelSpec spec = small_model(Activation::tanh, ends);
  Batch batch = random_batch(ends, {1, 1}, false, 2);
  const Gradient plain = backprop(spec, Arithmetic::defined(), 1, batch, {1, 1});
  batch.weights = {2.0F, 0.0F};
  const Gradient weighted = backprop(spec, Arithmetic::defined(), 1, batch, {1, 1});
  CHECK(weighted.losses[0] == 2.0 * plain.losses[0]);
  CHECK(weighted.losses[1] == 0.0);
  for (std::size_t i = 0; i < plain.partials[0].size(); ++i) {
    CHECK(weighted.partials[0][i] == 2.0F * plain.partials[0][i]);
    CHECK(weighted.partials[1][i] == 0.0F);
  }
}

TEST_CASE("model: a batch without rows, or without segments, gives zeros") {
  const Ends ends{6, 4, Loss::squared_error};
  const ModelSpec spec = small_model(Activation::gelu, ends);
  for (const Arithmetic& arithmetic : {Arithmetic::defined(), Arithmetic::openblas()}) {
    for (const unsigned threads : {1U, 3U}) {
      const Gradient none =
          backprop(spec, arithmetic, threads, random_batch(ends, {0, 0, 0}, false, 1), {2, 1});
      CHECK(none.losses == std::vector<double>(3, 0.0));
      for (const Floats& partial : none.partials) CHECK(partial == Floats(partial.size(), 0.0F));
      const Gradient empty =
          backprop(spec, arithmetic, threads, random_batch(ends, {}, false, 1), {0});
      CHECK(empty.partials[0] == Floats(empty.partials[0].size(), 0.0F));
    }
  }
}

TEST_CASE("model: initial parameters are a pure function of seed and spec, within their bounds") {
  const Ends ends{50, 10, Loss::softmax_cross_entropy};
  ModelSpec spec = small_model(Activation::relu, ends);
  Workers workers(1);
  Model a(spec, Arithmetic::defined(), workers), b(spec, Arithmetic::openblas(), workers);
  a.initialise(1);
  b.initialise(1);
  CHECK(std::ranges::equal(a.parameters(), b.parameters()));
  b.initialise(2);
  CHECK(!std::ranges::equal(a.parameters(), b.parameters()));
  const auto largest = [&](Model& model, std::size_t begin, std::size_t end) {
    float most = 0;
    for (std::size_t i = begin; i < end; ++i)
      most = std::max(most, std::fabs(model.parameters()[i]));
    return most;
  };
  const auto he = static_cast<float>(std::sqrt(6.0 / 50));
  CHECK(largest(a, 0, 450) <= he);
  CHECK(largest(a, 0, 450) > 0.9F * he);
  CHECK(largest(a, 450, 459) == 0.0F);
  spec.layers[0].initialisation = Initialisation::glorot;
  Model c(spec, Arithmetic::defined(), workers);
  c.initialise(1);
  const auto glorot = static_cast<float>(std::sqrt(6.0 / 59));
  CHECK(largest(c, 0, 450) <= glorot);
  CHECK(largest(c, 0, 450) > 0.9F * glorot);
  spec.layers[0].initialisation = Initialisation::fan_in;
  Model d(spec, Arithmetic::defined(), workers);
  d.initialise(1);
  const auto fan_in = static_cast<float>(std::sqrt(1.0 / 50));
  CHECK(largest(d, 0, 450) <= fan_in);
  CHECK(largest(d, 0, 450) > 0.9F * fan_in);
  CHECK(largest(d, 450, 459) > 0.5F * fan_in);
}

TEST_CASE("model: buckets tile the parameters from the head down, the first layer in pieces") {
  const ModelSpec spec{{784, 10, Loss::softmax_cross_entropy},
                       {{784, 512, Activation::relu, Initialisation::automatic},
                        {512, 512, Activation::relu, Initialisation::automatic},
                        {512, 10, Activation::none, Initialisation::automatic}}};
  Workers workers(1);
  Model model(spec, Arithmetic::defined(), workers);
  std::vector<ElementRange> buckets(model.buckets().begin(), model.buckets().end());
  REQUIRE(buckets.size() == 6);
  CHECK(buckets[0].end == spec.parameter_count());
  CHECK(buckets[2].begin == 0);
  for (std::size_t b = 1; b < buckets.size(); ++b)
    CHECK(buckets[b].end - buckets[b].begin >= 32768);
  std::ranges::sort(buckets, {}, &ElementRange::begin);
  std::uint64_t at = 0;
  for (const ElementRange& bucket : buckets) {
    CHECK(bucket.begin == at);
    at = bucket.end;
  }
  CHECK(at == spec.parameter_count());
}

TEST_CASE("model: a row is predicted with the same bits whatever the number of rows") {
  const Ends ends{30, 5, Loss::softmax_cross_entropy};
  const ModelSpec spec = small_model(Activation::gelu, ends);
  const Batch batch = random_batch(ends, {300}, false, 6);
  Workers workers(2);
  for (const Arithmetic& arithmetic : {Arithmetic::defined(), Arithmetic::openblas()}) {
    Model model(spec, arithmetic, workers);
    model.initialise(1);
    Floats all(300 * 5);
    model.predict(batch.features, 300, all);
    for (const std::uint32_t rows : {1U, 31U, 257U}) {
      Floats some(rows * 5);
      model.predict(std::span(batch.features).first(rows * 30), rows, some);
      CHECK(std::ranges::equal(some, std::span(all).first(some.size())));
    }
    // and the loss of what is predicted is the loss of training, to the bit
    double sum = 0;
    for (std::uint32_t r = 0; r < 300; ++r) {
      sum += static_cast<double>(cross_entropy(std::span(all).subspan(r * 5, 5), batch.classes[r]));
    }
    CHECK(backprop(model, batch, {1}).losses[0] == sum);
  }
}

TEST_CASE("model: a batch that does not fit is a bug that says so") {
  const Ends ends{6, 4, Loss::squared_error};
  Workers workers(1);
  Model model(small_model(Activation::relu, ends), Arithmetic::defined(), workers);
  Batch batch = random_batch(ends, {2}, false, 1);
  batch.features.pop_back();
  CHECK_THROWS_AS(backprop(model, batch, {1}), dl::Error);
  CHECK_THROWS_AS(backprop(model, random_batch(ends, {2}, false, 1), {2}), dl::Error);
}
