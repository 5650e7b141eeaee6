// SPDX-License-Identifier: MIT
#include "linalg/products.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/rng.h"

namespace {

using namespace dl::linalg;
using dl::Purpose;
using dl::Rng;
using dl::Workers;

using Floats = std::vector<float>;

struct Shape {
  std::uint32_t inputs = 1;
  std::uint32_t outputs = 1;
  std::vector<std::uint32_t> segments;  // rows of each
  std::vector<std::uint32_t> groups;    // segments of each
  Map map = Map::none;

  std::uint32_t rows() const { return std::accumulate(segments.begin(), segments.end(), 0U); }
};

// A layer's numbers and what the three products make of them, row-major.
struct Layer {
  Shape shape;
  Floats x, weights, bias, dy;
};

struct Results {
  Floats y, dx;
  std::vector<Floats> partials;  // weights, then biases
  bool operator==(const Results&) const = default;
};

Floats random(std::size_t count, Rng& rng) {
  Floats values(count);
  for (float& value : values) value = rng.uniform(-1.0F, 1.0F);
  return values;
}

Layer make_layer(const Shape& shape, Rng& rng) {
  const std::size_t rows = shape.rows();
  return {shape, random(rows * shape.inputs, rng),
          random(std::size_t{shape.outputs} * shape.inputs, rng), random(shape.outputs, rng),
          random(rows * shape.outputs, rng)};
}

std::vector<std::uint32_t> offsets_of(const Shape& shape, bool whole_panels) {
  std::vector<std::uint32_t> offsets = {0};
  for (const std::uint32_t rows : shape.segments) {
    offsets.push_back(offsets.back() + (whole_panels ? panels_of(rows) * kPanel : rows));
  }
  return offsets;
}

Results run(const Layer& layer, const Arithmetic& arithmetic, unsigned threads, bool x_in_panels) {
  const Shape& s = layer.shape;
  Workers workers(threads);
  Products products(arithmetic, workers);
  const std::vector<std::uint32_t> offsets = offsets_of(s, arithmetic.fixed_shapes());
  const std::uint32_t rows = offsets.back();
  Floats x(panel_floats(rows, s.inputs)), dy(panel_floats(rows, s.outputs));
  Floats y(panel_floats(rows, s.outputs), NAN), before(y.size(), NAN), dx(x.size(), NAN);
  const auto place = [&](const Floats& from, std::uint32_t width, Floats& to) {
    std::size_t row = 0;
    for (std::size_t i = 0; i < s.segments.size(); ++i) {
      for (std::uint32_t r = offsets[i]; r < offsets[i] + s.segments[i]; ++r, ++row) {
        for (std::uint32_t c = 0; c < width; ++c) {
          to[(r / kPanel * width + c) * kPanel + r % kPanel] = from[row * width + c];
        }
      }
    }
  };
  const auto take = [&](const Floats& from, std::uint32_t width) {
    Floats to;
    for (std::size_t i = 0; i < s.segments.size(); ++i) {
      for (std::uint32_t r = offsets[i]; r < offsets[i] + s.segments[i]; ++r) {
        for (std::uint32_t c = 0; c < width; ++c) {
          to.push_back(from[(r / kPanel * width + c) * kPanel + r % kPanel]);
        }
      }
    }
    return to;
  };
  place(layer.x, s.inputs, x);
  place(layer.dy, s.outputs, dy);
  products.forward({x.data(), layer.weights.data(), layer.bias.data(), y.data(), before.data(),
                    s.inputs, s.outputs, rows, s.map});
  // The layer's own input stands for the output of the map below it.
  products.backward(
      {dy.data(), layer.weights.data(), dx.data(), x.data(), s.inputs, s.outputs, rows, s.map});
  Results results{take(y, s.outputs), take(dx, s.inputs), {}};
  for (std::uint32_t r = rows; r < panels_of(rows) * kPanel; ++r) {
    for (std::uint32_t c = 0; c < s.outputs; ++c) {
      REQUIRE(y[(r / kPanel * s.outputs + c) * kPanel + r % kPanel] == 0.0F);
    }
    for (std::uint32_t c = 0; c < s.inputs; ++c) {
      REQUIRE(dx[(r / kPanel * s.inputs + c) * kPanel + r % kPanel] == 0.0F);
    }
  }
  const std::size_t weights = layer.weights.size();
  std::vector<float*> pointers;
  results.partials.assign(s.groups.size(), Floats(weights + s.outputs + 2, NAN));
  for (Floats& partial : results.partials) pointers.push_back(partial.data() + 1);
  WeightGradientArgs args;
  args.x = x_in_panels ? x.data() : layer.x.data();
  args.x_in_panels = x_in_panels;
  args.dy = dy.data();
  args.offsets = offsets.data();
  args.groups = s.groups.data();
  args.group_count = static_cast<std::uint32_t>(s.groups.size());
  args.partials = pointers.data();
  args.bias_offset = weights;
  args.inputs = s.inputs;
  args.outputs = s.outputs;
  args.rows = rows;
  const std::uint32_t cut = s.outputs / 3;  // in two pieces
  if (cut > 0) products.gradient(args, {0, cut}, false);
  products.gradient(args, {cut, s.outputs}, true);
  for (Floats& partial : results.partials) {
    REQUIRE(std::isnan(partial.front()));
    REQUIRE(std::isnan(partial.back()));
    partial.erase(partial.begin());
    partial.pop_back();
  }
  return results;
}

void check_equal_bits(const Results& got, const Results& wanted) {
  const auto same = [](const Floats& a, const Floats& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
    }
    return true;
  };
  CHECK(same(got.y, wanted.y));
  CHECK(same(got.dx, wanted.dx));
  REQUIRE(got.partials.size() == wanted.partials.size());
  for (std::size_t g = 0; g < got.partials.size(); ++g) {
    CHECK(same(got.partials[g], wanted.partials[g]));
  }
}

void check_near(const Floats& got, const Floats& wanted, double tolerance) {
  REQUIRE(got.size() == wanted.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - wanted[i]));
  }
  CHECK(worst <= tolerance);
}

Shape random_shape(Rng& rng, std::uint32_t widest, std::uint32_t most_rows) {
  Shape shape;
  shape.inputs = 1 + static_cast<std::uint32_t>(rng.below(widest));
  shape.outputs = 1 + static_cast<std::uint32_t>(rng.below(widest));
  shape.map = static_cast<Map>(rng.below(5));
  for (auto groups = rng.below(4); groups > 0; --groups) {
    const auto segments = static_cast<std::uint32_t>(rng.below(6));
    shape.groups.push_back(segments);
    for (std::uint32_t i = 0; i < segments; ++i) {
      const bool empty = rng.below(4) == 0;
      shape.segments.push_back(empty ? 0 : static_cast<std::uint32_t>(rng.below(most_rows)));
    }
  }
  return shape;
}

void check_all_kernels(const Layer& layer, Rng& rng) {
  const Shape& s = layer.shape;
  CAPTURE(s.inputs);
  CAPTURE(s.outputs);
  CAPTURE(s.rows());
  CAPTURE(s.segments.size());
  CAPTURE(static_cast<int>(s.map));
  const Results wanted = run(layer, Arithmetic::defined(Kernel::scalar), 1, true);
  for (const Kernel kernel : available_kernels()) {
    const auto threads = static_cast<unsigned>(1 + rng.below(5));
    CAPTURE(threads);
    const Arithmetic arithmetic = Arithmetic::defined(kernel);
    CAPTURE(arithmetic.kernel_name());
    check_equal_bits(run(layer, arithmetic, threads, true), wanted);
    check_equal_bits(run(layer, arithmetic, threads, false), wanted);
  }
}

}  // namespace

TEST_CASE("products: a small layer by hand") {
  Layer layer;
  layer.shape = {2, 1, {1, 2}, {2}, Map::relu};
  layer.x = {1, 2, 3, 4, -5, 0};
  layer.weights = {2, -1};
  layer.bias = {0.5F};
  layer.dy = {1, 10, 100};
  for (const Kernel kernel : available_kernels()) {
    const Results results = run(layer, Arithmetic::defined(kernel), 1, true);
    CHECK(results.y == Floats{0.5F, 2.5F, 0});
    CHECK(results.dx == Floats{2, -1, 20, -10, 0, 0});
    CHECK(results.partials[0] == Floats{1 + 30 - 500, 2 + 40, 111});
  }
}

TEST_CASE("products: all kernels give the oracle's bits on random shapes and threads") {
  dl::flush_denormals();
  Rng rng(1, Purpose::test);
  for (int i = 0; i < 300; ++i) check_all_kernels(make_layer(random_shape(rng, 70, 25), rng), rng);
}

TEST_CASE("products: all kernels give the oracle's bits on a network's shapes") {
  dl::flush_denormals();
  Rng rng(2, Purpose::test);
  const auto eight = std::vector<std::uint32_t>{5, 4, 4, 4, 0, 5, 4, 13};
  for (const auto& [inputs, outputs] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
           {784, 64}, {64, 10}, {13, 512}, {1024, 50}, {50, 1100}, {2048, 13}, {1, 1}, {4100, 7}}) {
    check_all_kernels(make_layer({inputs, outputs, eight, {8}, Map::relu}, rng), rng);
  }
  check_all_kernels(make_layer({100, 60, {300, 2, 131}, {1, 2}, Map::gelu}, rng), rng);
}

TEST_CASE("products: the bits of a row do not depend on the other rows") {
  Rng rng(3, Purpose::test);
  Layer all = make_layer({40, 30, {77}, {1}, Map::tanh}, rng);
  const Results whole = run(all, Arithmetic::defined(), 1, true);
  for (const std::uint32_t row : {0U, 5U, 31U, 32U, 76U}) {
    Layer alone = all;
    alone.shape.segments = {1};
    alone.x.assign(all.x.begin() + row * 40, all.x.begin() + (row + 1) * 40);
    alone.dy.assign(all.dy.begin() + row * 30, all.dy.begin() + (row + 1) * 30);
    const Results one = run(alone, Arithmetic::defined(), 1, true);
    CHECK(one.y == Floats(whole.y.begin() + row * 30, whole.y.begin() + (row + 1) * 30));
    CHECK(one.dx == Floats(whole.dx.begin() + row * 40, whole.dx.begin() + (row + 1) * 40));
  }
}

TEST_CASE("products: OpenBLAS agrees within rounding") {
  Rng rng(4, Purpose::test);
  for (int i = 0; i < 60; ++i) {
    const Layer layer = make_layer(random_shape(rng, 150, 60), rng);
    const Results ours = run(layer, Arithmetic::defined(), 1, true);
    const Results theirs = run(layer, Arithmetic::openblas(), 2, true);
    if (layer.shape.map != Map::relu) check_near(theirs.y, ours.y, 1e-4);
    if (layer.shape.map != Map::relu) check_near(theirs.dx, ours.dx, 1e-4);
    for (std::size_t g = 0; g < ours.partials.size(); ++g) {
      check_near(theirs.partials[g], ours.partials[g], 1e-4);
    }
  }
}

TEST_CASE("products: a segment's bits by OpenBLAS do not depend on the other segments") {
  Rng rng(5, Purpose::test);
  const Layer all = make_layer({90, 70, {20, 40, 0, 9}, {1, 1, 1, 1}, Map::relu}, rng);
  const Results whole = run(all, Arithmetic::openblas(), 1, true);
  Layer alone = all;
  alone.shape.segments = {40};
  alone.shape.groups = {1};
  alone.x.assign(all.x.begin() + 20 * 90, all.x.begin() + 60 * 90);
  alone.dy.assign(all.dy.begin() + 20 * 70, all.dy.begin() + 60 * 70);
  const Results one = run(alone, Arithmetic::openblas(), 3, true);
  CHECK(one.y == Floats(whole.y.begin() + 20 * 70, whole.y.begin() + 60 * 70));
  CHECK(one.dx == Floats(whole.dx.begin() + 20 * 90, whole.dx.begin() + 60 * 90));
  CHECK(one.partials[0] == whole.partials[1]);
}

TEST_CASE("products: pack and unpack undo each other, and dead lanes are zero") {
  Rng rng(6, Purpose::test);
  for (const Kernel kernel : available_kernels()) {
    Workers workers(2);
    Products products(Arithmetic::defined(kernel), workers);
    for (const auto& [rows, width] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
             {0, 5}, {1, 1}, {32, 16}, {33, 17}, {47, 784}, {129, 40}, {8, 64}}) {
      const Floats from = random(std::size_t{rows} * width, rng);
      Floats panels(panel_floats(rows, width), NAN), back(from.size(), NAN);
      products.pack(from.data(), rows, width, panels.data());
      for (std::uint32_t r = 0; r < panels_of(rows) * kPanel; ++r) {
        for (std::uint32_t c = 0; c < width; ++c) {
          const float wanted = r < rows ? from[r * width + c] : 0.0F;
          REQUIRE(panels[(r / kPanel * width + c) * kPanel + r % kPanel] == wanted);
        }
      }
      products.unpack(panels.data(), rows, width, back.data());
      CHECK(back == from);
    }
  }
}
