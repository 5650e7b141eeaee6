// SPDX-License-Identifier: MIT
#include "nn/blocked_model.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/tree.h"
#include "linalg/buffer.h"
#include "linalg/products.h"
#include "nn/dense.h"
#include "nn/head.h"
#include "nn/placement.h"

namespace dl::nn {

namespace {

using linalg::Buffer;
using linalg::kPanel;
using linalg::Map;
using linalg::panel_floats;

constexpr std::uint64_t kLine = 16;  // floats in a cache line

// The own units of a pair's block.
struct Slice {
  std::uint32_t units = 0;
  std::uint32_t before = 0;       // own units in the blocks before it
  std::uint64_t rows = 0;         // offsets in the parameters: its rows of the first layer's weights,
  std::uint64_t biases = 0;
  std::uint64_t columns = 0;      // its columns of the second layer's weights
};

struct Layer {
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;      // of a first layer: own units
  Map map = Map::none;
  std::uint64_t weights = 0;      // of a common layer: offsets in the parameters
  std::uint64_t biases = 0;       // of a common or a second layer
  std::vector<Slice> slices;      // of a first layer: by own block
  Buffer y;                       // panels of the last batch; of a first layer, slice after slice
  Buffer before;                  // gelu: what it was applied to
};

}  // namespace

struct BlockedModel::State {
  State(const ModelSpec& model_spec, const Blocking& its_blocking, std::vector<std::uint32_t> own_blocks,
        const linalg::Arithmetic& arithmetic, Workers& workers);

  void reserve();
  const float* input(std::size_t l) const { return l == 0 ? x.data() : layers[l - 1].y.data(); }
  // What the map's derivative is a function of.
  const float* output(const Layer& layer) const {
    return layer.map == Map::gelu ? layer.before.data() : layer.y.data();
  }
  std::size_t place(const Slice& slice) const { return panel_floats(rows, slice.before); }

  // part becomes the sum over blocks [range) of what product(own block, to) writes: rows x width floats.
  template <class Product>
  void add_up(ShardRange range, float* part, std::uint32_t width, std::size_t depth, const Product& product);
  template <class Product>
  void begin_sum(const BlockSums& sums, std::size_t number, std::uint32_t width, const Product& product);
  // The weights' gradients of a matrix at `weights`, or with no outputs the biases' alone.
  void gradient_of(const Batch& batch, std::size_t l, const float* in, const float* dy, std::uint32_t inputs,
                   std::uint32_t outputs, std::uint64_t weights, std::uint64_t biases, bool of_weights, bool of_biases);

  void forward_pair(std::size_t l, const BlockSums& sums, std::size_t number);
  void backward_pair(const Batch& batch, std::size_t l, const BlockSums& sums, std::size_t number);
  void backward_common(const Batch& batch, std::size_t l);

  const ModelSpec spec;
  const Blocking blocking;
  const std::vector<std::uint32_t> own;
  const std::vector<ShardRange> parts;   // maximal subtrees of the own blocks
  std::vector<std::size_t> index;        // of a block among the own ones
  std::vector<ElementRange> blocks;      // of each own one
  linalg::Products products;
  Head head;
  std::vector<Layer> layers;
  Buffer parameters, gradient;
  std::vector<std::uint32_t> slots;
  std::uint32_t rows = 0;                // slots of the batch
  std::uint32_t group = 0;               // all segments are one group
  std::vector<float> zeros;              // in place of biases
  std::vector<Buffer> levels;            // of the tree over blocks
  Buffer x;                              // the batch in panels
  Buffer d_units;                        // gradients by a first layer's own units, slice after slice
  Buffer d[2];                           // by the outputs of a stage, and of the one below
  float* dy = nullptr;
  float* dx = nullptr;
};

BlockedModel::State::State(const ModelSpec& model_spec, const Blocking& its_blocking,
                           std::vector<std::uint32_t> own_blocks, const linalg::Arithmetic& arithmetic,
                           Workers& workers)
    : spec(model_spec),
      blocking(its_blocking),
      own(std::move(own_blocks)),
      parts(maximal_subtrees(blocking.blocks(), own)),
      index(blocking.blocks()),
      products(arithmetic, workers),
      head(model_spec.ends, arithmetic),
      layers(spec.layers.size()) {
  std::uint64_t offset = 0;
  std::uint32_t widest = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const DenseSpec& dense = spec.layers[l];
    layers[l].inputs = dense.inputs;
    layers[l].outputs = dense.outputs;
    layers[l].map = map_of(dense.activation);
    widest = std::max(widest, dense.outputs);
    if (blocking.is_first(l)) continue;
    if (!blocking.is_second(l)) {
      layers[l].weights = offset;
      offset += std::uint64_t{dense.inputs} * dense.outputs;
    }
    layers[l].biases = offset;
    offset += dense.outputs;
  }
  zeros.resize(widest);
  for (const std::size_t l : blocking.pairs()) layers[l].outputs = 0;
  for (std::size_t i = 0; i < own.size(); ++i) {
    index[own[i]] = i;
    offset = (offset + kLine - 1) / kLine * kLine;
    blocks.push_back({offset, 0});
    for (const std::size_t l : blocking.pairs()) {
      Layer& first = layers[l];
      Slice slice{blocking.unit(l, own[i] + 1) - blocking.unit(l, own[i]), first.outputs, offset, 0, 0};
      slice.biases = slice.rows + std::uint64_t{slice.units} * first.inputs;
      slice.columns = slice.biases + slice.units;
      offset = slice.columns + std::uint64_t{slice.units} * layers[l + 1].outputs;
      first.outputs += slice.units;
      first.slices.push_back(slice);
    }
    blocks.back().end = offset;
  }
  parameters = Buffer(offset);
  gradient = Buffer(offset);
  std::uint32_t largest = 1;
  for (const ShardRange& part : parts) largest = std::max(largest, part.size());
  levels.resize(std::bit_width(largest - 1));
}

void BlockedModel::State::reserve() {
  const std::uint32_t most = std::max(rows, kPanel);
  std::uint32_t widest = 0, most_units = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    Layer& layer = layers[l];
    layer.y.reserve(panel_floats(most, layer.outputs));
    if (layer.map == Map::gelu) layer.before.reserve(panel_floats(most, layer.outputs));
    std::uint32_t& width = blocking.is_first(l) ? most_units : widest;
    width = std::max(width, layer.outputs);
  }
  x.reserve(panel_floats(most, spec.ends.inputs));
  d_units.reserve(panel_floats(most, most_units));
  for (Buffer& buffer : d) buffer.reserve(panel_floats(most, widest));
  for (Buffer& buffer : levels) buffer.reserve(panel_floats(most, widest));
}

template <class Product>
void BlockedModel::State::add_up(ShardRange range, float* part, std::uint32_t width, std::size_t depth,
                                 const Product& product) {
  if (range.size() == 1) {
    product(index[range.begin], part);
    return;
  }
  const std::uint32_t split = tree_split(range);
  float* right = levels[depth].data();
  add_up({range.begin, split}, part, width, depth + 1, product);
  add_up({split, range.end}, right, width, depth + 1, product);
  const std::size_t count = panel_floats(rows, width);
  for (std::size_t i = 0; i < count; ++i) part[i] = part[i] + right[i];
}

template <class Product>
void BlockedModel::State::begin_sum(const BlockSums& sums, std::size_t number, std::uint32_t width,
                                    const Product& product) {
  for (std::size_t p = 0; p < parts.size(); ++p) {
    add_up(parts[p], sums.parts[p] + sums.begins[number], width, 0, product);
  }
  sums.start(number);
}

void BlockedModel::State::forward_pair(std::size_t l, const BlockSums& sums, std::size_t number) {
  Layer& first = layers[l];
  Layer& second = layers[l + 1];
  const float* in = input(l);
  for (const Slice& slice : first.slices) {
    float* before = first.map == Map::gelu ? first.before.data() + place(slice) : nullptr;
    products.forward({in, parameters.data() + slice.rows, parameters.data() + slice.biases,
                      first.y.data() + place(slice), before, first.inputs, slice.units, rows, first.map});
  }
  begin_sum(sums, number, second.outputs, [&](std::size_t i, float* to) {
    const Slice& slice = first.slices[i];
    products.forward({first.y.data() + place(slice), parameters.data() + slice.columns, zeros.data(), to, nullptr,
                      slice.units, second.outputs, rows, Map::none});
  });
  sums.wait(number);
  std::copy_n(sums.total + sums.begins[number], panel_floats(rows, second.outputs), second.y.data());
  products.finish_forward({nullptr, nullptr, parameters.data() + second.biases, second.y.data(), second.before.data(),
                           second.inputs, second.outputs, rows, second.map});
}

void BlockedModel::State::gradient_of(const Batch& batch, std::size_t l, const float* in, const float* by_outputs,
                                      std::uint32_t inputs, std::uint32_t outputs, std::uint64_t weights,
                                      std::uint64_t biases, bool of_weights, bool of_biases) {
  float* const to = gradient.data();
  linalg::WeightGradientArgs args;
  // Rows as they came need no transposition, where segments did not have to be moved.
  args.x_in_panels = l > 0 || products.arithmetic().fixed_shapes();
  args.x = args.x_in_panels ? in : batch.features.data();
  args.dy = by_outputs;
  args.offsets = slots.data();
  args.groups = &group;
  args.group_count = 1;
  args.partials = &to;
  args.weight_offset = weights;
  args.bias_offset = biases;
  args.inputs = inputs;
  args.outputs = outputs;
  args.rows = rows;
  products.gradient(args, {0, of_weights ? outputs : 0}, of_biases);
}

void BlockedModel::State::backward_common(const Batch& batch, std::size_t l) {
  const Layer& layer = layers[l];
  gradient_of(batch, l, input(l), dy, layer.inputs, layer.outputs, layer.weights, layer.biases, true, true);
  if (l == 0) return;
  const Layer& below = layers[l - 1];
  products.backward({dy, parameters.data() + layer.weights, dx, output(below), layer.inputs, layer.outputs, rows,
                     below.map});
  std::swap(dy, dx);
}

// The gradients of the weights are computed while the sum travels.
void BlockedModel::State::backward_pair(const Batch& batch, std::size_t l, const BlockSums& sums,
                                        std::size_t number) {
  const Layer& first = layers[l];
  const Layer& second = layers[l + 1];
  for (const Slice& slice : first.slices) {
    products.backward({dy, parameters.data() + slice.columns, d_units.data() + place(slice),
                       output(first) + place(slice), slice.units, second.outputs, rows, first.map});
  }
  if (l > 0) {
    begin_sum(sums, number, first.inputs, [&](std::size_t i, float* to) {
      const Slice& slice = first.slices[i];
      products.backward({d_units.data() + place(slice), parameters.data() + slice.rows, to, nullptr, first.inputs,
                         slice.units, rows, Map::none});
    });
  }
  for (const Slice& slice : first.slices) {
    gradient_of(batch, l + 1, first.y.data() + place(slice), dy, slice.units, second.outputs, slice.columns, 0, true,
                false);
    gradient_of(batch, l, input(l), d_units.data() + place(slice), first.inputs, slice.units, slice.rows,
                slice.biases, true, true);
  }
  gradient_of(batch, l + 1, nullptr, dy, 0, second.outputs, 0, second.biases, false, true);
  if (l == 0) return;
  sums.wait(number);
  const Layer& below = layers[l - 1];
  const std::size_t floats = panel_floats(rows, first.inputs);
  std::copy_n(sums.total + sums.begins[number], floats, dx);
  products.derivative(below.map, dx, output(below), floats);
  std::swap(dy, dx);
}

BlockedModel::BlockedModel(const ModelSpec& spec, const Blocking& blocking, std::vector<std::uint32_t> own,
                           const linalg::Arithmetic& arithmetic, Workers& workers)
    : state_(std::make_unique<State>(spec, blocking, std::move(own), arithmetic, workers)) {}
BlockedModel::~BlockedModel() = default;

std::span<float> BlockedModel::parameters() { return state_->parameters.span(); }
std::span<const float> BlockedModel::gradient() const {
  return static_cast<const Buffer&>(state_->gradient).span();
}
ElementRange BlockedModel::common() const { return {0, state_->blocking.common_floats()}; }
ElementRange BlockedModel::block(std::size_t i) const { return state_->blocks.at(i); }

std::uint32_t BlockedModel::most_slots(const linalg::Arithmetic& arithmetic, std::span<const std::uint32_t> rows) {
  std::uint32_t slots = 0;
  for (const std::uint32_t count : rows) slots += slots_of(arithmetic, count);
  return slots;
}

void BlockedModel::backprop(const Batch& batch, const BlockSums& sums, std::span<double> losses) {
  State& s = *state_;
  if (losses.size() != batch.segments() || batch.offsets.back() != batch.rows || sums.parts.size() != s.parts.size() ||
      batch.features.size() != std::size_t{batch.rows} * s.spec.ends.inputs) {
    fail(Exit::bug, "a batch of {} segments and {} rows with {} features, {} losses, {} parts", batch.segments(),
         batch.rows, batch.features.size(), losses.size(), sums.parts.size());
  }
  place_rows(s.products.arithmetic(), batch, s.slots);
  s.rows = s.slots.back();
  s.group = batch.segments();
  s.reserve();
  pack_rows(s.products, batch, s.slots, s.spec.ends.inputs, s.x.data());
  std::size_t number = 0;  // of the next sum
  for (std::size_t l = 0; l < s.layers.size(); ++l) {
    if (s.blocking.is_first(l)) {
      s.forward_pair(l++, sums, number++);
      continue;
    }
    Layer& layer = s.layers[l];
    s.products.forward({s.input(l), s.parameters.data() + layer.weights, s.parameters.data() + layer.biases,
                        layer.y.data(), layer.before.data(), layer.inputs, layer.outputs, s.rows, layer.map});
  }
  s.dy = s.d[0].data();
  s.dx = s.d[1].data();
  s.head(batch, s.slots, s.layers.back().y.data(), s.dy, losses);
  for (std::size_t l = s.layers.size(); l-- > 0;) {
    if (s.blocking.is_second(l)) {
      s.backward_pair(batch, --l, sums, number++);
    } else {
      s.backward_common(batch, l);
    }
  }
}

}  // namespace dl::nn
