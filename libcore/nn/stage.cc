// SPDX-License-Identifier: MIT
#include "nn/stage.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "linalg/products.h"
#include "nn/dense.h"
#include "nn/head.h"

namespace dl::nn {

namespace {

using linalg::Buffer;
using linalg::kPanel;
using linalg::Map;

struct Layer : DenseLayer {
  Buffer y;       // panels of all segments
  Buffer before;  // gelu: what it was applied to
  Buffer d;       // the gradient by what the map was applied to

  // What the derivative of the map is taken of.
  const float* mapped(std::size_t slot) const {
    return (map == Map::gelu ? before.data() : y.data()) + slot * outputs;
  }
};

}  // namespace

// Every segment begins with a panel of its own, so that its products touch nobody else's rows.
struct Stage::State {
  State(Model& its_model, LayerRange its_range)
      : model(its_model),
        range(its_range),
        products(model.arithmetic(), model.workers()),
        head(model.spec().ends, model.arithmetic()) {
    const std::vector<DenseLayer> all = dense_layers(model.spec());
    if (range.begin >= range.end || range.end > all.size()) {
      fail(Exit::bug, "a stage of layers {} to {} of a model of {}", range.begin, range.end, all.size());
    }
    for (std::uint32_t l = range.begin; l < range.end; ++l) layers.push_back({all[l], {}, {}, {}});
    first = range.begin == 0;
    last = range.end == all.size();
  }

  void check(std::uint32_t segment, std::size_t given, std::size_t width) const {
    if (segment < rows.size() && given == rows[segment] * width) return;
    fail(Exit::bug, "{} numbers for segment {} of {} in a stage", given, segment, rows.size());
  }
  const float* weights(const Layer& layer) const { return model.parameters().data() + layer.weights; }
  const float* biases(const Layer& layer) const { return model.parameters().data() + layer.biases; }

  Model& model;
  LayerRange range;
  bool first = false, last = false;
  linalg::Products products;
  Head head;
  std::vector<Layer> layers;
  std::vector<std::uint32_t> rows, slots, ends;  // of each segment; where it begins and ends
  Buffer x;                                      // panels of what came in
  Buffer dx;                                     // of one segment, on its way out
};

Stage::Stage(Model& model, LayerRange layers) : state_(std::make_unique<State>(model, layers)) {}
Stage::~Stage() = default;
Stage::Stage(Stage&&) noexcept = default;

std::uint32_t Stage::inputs() const { return state_->layers.front().inputs; }
std::uint32_t Stage::outputs() const { return state_->layers.back().outputs; }
ElementRange Stage::elements() const {
  const Layer& top = state_->layers.back();
  return {state_->layers.front().weights, top.biases + top.outputs};
}

void Stage::begin(std::span<const std::uint32_t> rows_of_segments) {
  State& s = *state_;
  s.rows.assign(rows_of_segments.begin(), rows_of_segments.end());
  s.slots.assign(1, 0);
  s.ends.clear();
  for (const std::uint32_t rows : s.rows) {
    s.ends.push_back(s.slots.back() + rows);
    s.slots.push_back(s.slots.back() + linalg::panels_of(rows) * kPanel);
  }
  const std::uint32_t all = std::max(s.slots.back(), kPanel);
  s.x.reserve(linalg::panel_floats(all, inputs()));
  if (!s.first) s.dx.reserve(linalg::panel_floats(all, inputs()));
  for (Layer& layer : s.layers) {
    const std::size_t floats = linalg::panel_floats(all, layer.outputs);
    layer.y.reserve(floats);
    layer.d.reserve(floats);
    if (layer.map == Map::gelu) layer.before.reserve(floats);
  }
}

void Stage::forward(std::uint32_t segment, std::span<const float> x, std::span<float> y) {
  State& s = *state_;
  s.check(segment, x.size(), inputs());
  if (!(s.last && y.empty())) s.check(segment, y.size(), outputs());
  const std::size_t slot = s.slots[segment];
  const std::uint32_t rows = s.rows[segment];
  s.products.pack(x.data(), rows, inputs(), s.x.data() + slot * inputs());
  const float* from = s.x.data() + slot * inputs();
  for (Layer& layer : s.layers) {
    float* const to = layer.y.data() + slot * layer.outputs;
    float* const before = layer.map == Map::gelu ? layer.before.data() + slot * layer.outputs : nullptr;
    s.products.forward({from, s.weights(layer), s.biases(layer), to, before, layer.inputs, layer.outputs,
                        rows, layer.map});
    from = to;
  }
  if (!y.empty()) s.products.unpack(from, rows, outputs(), y.data());
}

double Stage::loss(std::uint32_t segment, const Batch& targets) {
  State& s = *state_;
  s.check(segment, targets.rows, 1);
  Layer& top = s.layers.back();
  const std::size_t at = std::size_t{s.slots[segment]} * top.outputs;
  const std::array<std::uint32_t, 2> offsets = {0, targets.rows};
  double loss = 0;
  s.head(targets, offsets, top.y.data() + at, top.d.data() + at, {&loss, 1});
  return loss;
}

void Stage::backward(std::uint32_t segment, std::span<const float> dy, std::span<float> dx) {
  State& s = *state_;
  const std::size_t slot = s.slots[segment];
  const std::uint32_t rows = s.rows[segment];
  if (!s.last) {
    s.check(segment, dy.size(), outputs());
    Layer& top = s.layers.back();
    float* const d = top.d.data() + slot * top.outputs;
    s.products.pack(dy.data(), rows, top.outputs, d);
    s.products.derivative(top.map, d, top.mapped(slot), linalg::panel_floats(rows, top.outputs));
  }
  for (std::size_t l = s.layers.size(); l-- > 1;) {
    const Layer& layer = s.layers[l];
    Layer& below = s.layers[l - 1];
    s.products.backward({layer.d.data() + slot * layer.outputs, s.weights(layer),
                         below.d.data() + slot * below.outputs, below.mapped(slot), layer.inputs,
                         layer.outputs, rows, below.map});
  }
  if (s.first) return;
  // Of the layer below only its stage knows the map.
  s.check(segment, dx.size(), inputs());
  const Layer& bottom = s.layers.front();
  s.products.backward({bottom.d.data() + slot * bottom.outputs, s.weights(bottom), s.dx.data(), s.x.data(),
                       bottom.inputs, bottom.outputs, rows, Map::none});
  s.products.unpack(s.dx.data(), rows, inputs(), dx.data());
}

void Stage::gradient(std::span<const std::uint32_t> group_sizes, std::span<float* const> partials) {
  State& s = *state_;
  for (std::size_t l = 0; l < s.layers.size(); ++l) {
    const Layer& layer = s.layers[l];
    linalg::WeightGradientArgs args;
    args.x = l == 0 ? s.x.data() : s.layers[l - 1].y.data();
    args.dy = layer.d.data();
    args.offsets = s.slots.data();
    // Fixed shapes are whole panels, as in Model::backprop().
    args.ends = s.products.arithmetic().fixed_shapes() ? nullptr : s.ends.data();
    args.groups = group_sizes.data();
    args.group_count = static_cast<std::uint32_t>(group_sizes.size());
    args.partials = partials.data();
    args.weight_offset = layer.weights;
    args.bias_offset = layer.biases;
    args.inputs = layer.inputs;
    args.outputs = layer.outputs;
    args.rows = s.slots.back();
    s.products.gradient(args, {0, layer.outputs}, true);
  }
}

}  // namespace dl::nn
