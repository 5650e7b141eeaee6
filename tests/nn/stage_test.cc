// SPDX-License-Identifier: MIT
#include "nn/stage.h"

#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/rng.h"

namespace {

using namespace dl::nn;
using dl::Purpose;
using dl::Rng;
using dl::Workers;
using dl::linalg::Arithmetic;
using Floats = std::vector<float>;
using Counts = std::vector<std::uint32_t>;

Batch random_batch(const Ends& ends, const Counts& segments, bool weighted) {
  Rng rng(5, Purpose::test);
  Batch batch;
  for (const std::uint32_t rows : segments) {
    batch.rows += rows;
    batch.offsets.push_back(batch.rows);
  }
  for (std::uint32_t r = 0; r < batch.rows; ++r) {
    for (std::uint32_t i = 0; i < ends.inputs; ++i) batch.features.push_back(rng.uniform(-1.0F, 1.0F));
    if (ends.loss == Loss::softmax_cross_entropy) {
      batch.classes.push_back(static_cast<std::uint32_t>(rng.below(ends.outputs)));
    } else {
      for (std::uint32_t o = 0; o < ends.outputs; ++o) batch.numbers.push_back(rng.uniform(-2.0F, 2.0F));
    }
    if (weighted) batch.weights.push_back(rng.uniform(0.0F, 3.0F));
  }
  return batch;
}

template <class T>
std::vector<T> rows_of(const std::vector<T>& all, std::size_t width, std::size_t begin, std::size_t end) {
  if (all.empty()) return {};
  return {all.begin() + static_cast<std::ptrdiff_t>(begin * width),
          all.begin() + static_cast<std::ptrdiff_t>(end * width)};
}

Batch segment_of(const Batch& all, const Ends& ends, std::uint32_t i) {
  Batch one;
  const std::uint32_t begin = all.offsets[i], end = all.offsets[i + 1];
  one.rows = end - begin;
  one.offsets = {0, one.rows};
  one.classes = rows_of(all.classes, 1, begin, end);
  one.numbers = rows_of(all.numbers, ends.outputs, begin, end);
  one.weights = rows_of(all.weights, 1, begin, end);
  return one;
}

struct Gradient {
  std::vector<Floats> partials;
  std::vector<double> losses;
  explicit Gradient(std::size_t groups, std::size_t size, std::size_t segments)
      : partials(groups, Floats(size, 1e30F)), losses(segments) {}
  std::vector<float*> pointers() {
    std::vector<float*> out;
    for (Floats& partial : partials) out.push_back(partial.data());
    return out;
  }
  bool same_bits(const Gradient& other) const {
    for (std::size_t g = 0; g < partials.size(); ++g) {
      if (std::memcmp(partials[g].data(), other.partials[g].data(), partials[g].size() * sizeof(float)) != 0) {
        return false;
      }
    }
    return losses == other.losses;
  }
};

// Segments pass through the stages in an order of their own.
Gradient staged(Model& model, const Counts& layers, const Batch& batch, const Counts& groups) {
  Gradient out(groups.size(), model.parameters().size(), batch.segments());
  const Ends& ends = model.spec().ends;
  std::vector<Stage> stages;
  std::uint32_t first = 0;
  for (const std::uint32_t count : layers) {
    stages.emplace_back(model, LayerRange{first, first + count});
    first += count;
  }
  Counts rows(batch.segments());
  for (std::uint32_t i = 0; i < rows.size(); ++i) rows[i] = batch.offsets[i + 1] - batch.offsets[i];
  for (Stage& stage : stages) stage.begin(rows);
  for (std::uint32_t i = batch.segments(); i-- > 0;) {
    Floats x = rows_of(batch.features, ends.inputs, batch.offsets[i], batch.offsets[i + 1]);
    for (Stage& stage : stages) {
      Floats y(std::size_t{rows[i]} * stage.outputs());
      stage.forward(i, x, &stage == &stages.back() ? std::span<float>() : std::span(y));
      x = y;
    }
    out.losses[i] = stages.back().loss(i, segment_of(batch, ends, i));
  }
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    Floats dy;
    for (std::size_t k = stages.size(); k-- > 0;) {
      Floats dx(k == 0 ? 0 : std::size_t{rows[i]} * stages[k].inputs());
      stages[k].backward(i, dy, dx);
      dy = dx;
    }
  }
  for (Stage& stage : stages) stage.gradient(groups, out.pointers());
  return out;
}

}  // namespace

TEST_CASE("stage: any cut of the layers gives the bits of the whole model, segment by segment") {
  Workers workers(2);
  dl::flush_denormals();
  const std::vector<std::pair<Counts, Counts>> shapes = {
      {{40, 3, 0, 33, 64, 1, 7}, {7}}, {{40, 3, 0, 33, 64, 1, 7}, {4, 2, 1}}, {{0, 5}, {1, 1}}, {{0}, {1}}};
  for (const char* name : {"automatic", "scalar", "openblas"}) {
    const bool blas = std::string(name) == "openblas";
    const Arithmetic arithmetic = dl::linalg::choose(blas ? "automatic" : name, blas ? "openblas" : "defined");
    for (const Loss loss : {Loss::softmax_cross_entropy, Loss::squared_error}) {
      const Ends ends{21, 3, loss};
      const ModelSpec spec =
          parse_model("dense 37 gelu; dense 18 relu; dense 33 tanh; dense 9 sigmoid", "test", ends);
      Model model(spec, arithmetic, workers);
      model.initialise(3);
      for (const auto& [segments, groups] : shapes) {
        const Batch batch = random_batch(ends, segments, loss == Loss::squared_error);
        Gradient wanted(groups.size(), model.parameters().size(), batch.segments());
        model.backprop(batch, groups, wanted.pointers(), wanted.losses, [](std::size_t) {});
        for (const Counts& layers : std::vector<Counts>{{5}, {1, 4}, {2, 3}, {3, 1, 1}, {1, 1, 1, 1, 1}}) {
          CAPTURE(name);
          CAPTURE(layers.size());
          CHECK(staged(model, layers, batch, groups).same_bits(wanted));
        }
      }
    }
  }
}

TEST_CASE("stage: a stage touches its own elements of a gradient alone") {
  Workers workers(1);
  dl::flush_denormals();
  const Arithmetic arithmetic = dl::linalg::choose("automatic", "defined");
  const Ends ends{4, 2, Loss::softmax_cross_entropy};
  Model model(parse_model("dense 3 relu; dense 5 tanh", "test", ends), arithmetic, workers);
  model.initialise(3);
  Stage stage(model, {1, 2});
  CHECK(stage.inputs() == 3);
  CHECK(stage.outputs() == 5);
  CHECK(stage.elements() == ElementRange{15, 35});
  const Counts rows = {2};
  stage.begin(rows);
  Floats y(10), dx(6);
  stage.forward(0, Floats(6, 0.5F), y);
  stage.backward(0, y, dx);
  Floats gradient(model.parameters().size(), 7.0F);
  float* const pointer = gradient.data();
  stage.gradient(Counts{1}, std::span(&pointer, 1));
  for (std::size_t i = 0; i < gradient.size(); ++i) CHECK((gradient[i] == 7.0F) == (i < 15 || i >= 35));
}
