// SPDX-License-Identifier: MIT
#include "nn/model.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"
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

struct Layer : DenseLayer {
  Buffer y;       // panels of the last batch
  Buffer before;  // gelu: what it was applied to
};

// Outputs [begin, end) of a layer: what one bucket holds.
struct Piece {
  std::size_t layer = 0;
  linalg::Range outputs;
};

// Layers from the head down; the first layer, whose gradient is finished last, in up to four
// pieces, so that little is left to send when it is done.
std::vector<Piece> pieces_of(const std::vector<Layer>& layers) {
  constexpr std::uint64_t kFirstLayerPiece = 64 * 1024, kPiece = 1024 * 1024;
  std::vector<Piece> pieces;
  for (std::size_t l = layers.size(); l-- > 0;) {
    const Layer& layer = layers[l];
    const std::uint64_t size = (std::uint64_t{layer.inputs} + 1) * layer.outputs;
    const std::uint64_t wanted = l == 0 ? std::min<std::uint64_t>(4, size / kFirstLayerPiece)
                                        : std::min<std::uint64_t>(16, size / kPiece);
    const auto count = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, wanted));
    constexpr std::uint32_t kTile = 12;  // a piece that ends with a whole tile wastes nothing
    const std::uint32_t step = ((layer.outputs + count - 1) / count + kTile - 1) / kTile * kTile;
    for (std::uint32_t o = 0; o < layer.outputs; o += step) {
      pieces.push_back({l, {o, std::min(layer.outputs, o + step)}});
    }
  }
  return pieces;
}

}  // namespace

struct Model::State {
  State(const ModelSpec& model_spec, const linalg::Arithmetic& arithmetic, Workers& its_workers);

  void place(const Batch& batch);
  void reserve(std::uint32_t rows);
  void forward(const float* parameters_at, std::uint32_t rows);

  ModelSpec spec;
  Workers& workers;
  linalg::Products products;
  Head head;
  Buffer parameters;
  std::vector<Layer> layers;
  std::vector<Piece> pieces;
  std::vector<ElementRange> buckets;
  std::vector<std::uint32_t> slots;
  Buffer x;     // the batch in panels
  Buffer d[2];  // gradients by the outputs of a layer, and of the one below
};

Model::State::State(const ModelSpec& model_spec, const linalg::Arithmetic& arithmetic,
                    Workers& its_workers)
    : spec(model_spec),
      workers(its_workers),
      products(arithmetic, workers),
      head(model_spec.ends, arithmetic),
      parameters(model_spec.parameter_count()) {
  for (const DenseLayer& dense : dense_layers(spec)) layers.push_back({dense, {}, {}});
  pieces = pieces_of(layers);
  for (const Piece& piece : pieces) {
    const Layer& layer = layers[piece.layer];
    const bool last = piece.outputs.end == layer.outputs;
    const auto row = [&](std::uint64_t o) { return layer.weights + o * layer.inputs; };
    buckets.push_back(
        {row(piece.outputs.begin), last ? layer.biases + layer.outputs : row(piece.outputs.end)});
  }
}

void Model::State::reserve(std::uint32_t rows) {
  std::uint32_t widest = 0;
  for (Layer& layer : layers) {
    layer.y.reserve(panel_floats(rows, layer.outputs));
    if (layer.map == Map::gelu) layer.before.reserve(panel_floats(rows, layer.outputs));
    widest = std::max(widest, layer.outputs);
  }
  x.reserve(panel_floats(rows, spec.ends.inputs));
  for (Buffer& buffer : d) buffer.reserve(panel_floats(rows, widest));
}

void Model::State::place(const Batch& batch) {
  place_rows(products.arithmetic(), batch, slots);
  reserve(std::max(slots.back(), kPanel));
  pack_rows(products, batch, slots, spec.ends.inputs, x.data());
}

void Model::State::forward(const float* parameters_at, std::uint32_t rows) {
  const float* from = x.data();
  for (Layer& layer : layers) {
    products.forward({from, parameters_at + layer.weights, parameters_at + layer.biases,
                      layer.y.data(), layer.before.data(), layer.inputs, layer.outputs, rows,
                      layer.map});
    from = layer.y.data();
  }
}

Model::Model(const ModelSpec& spec, const linalg::Arithmetic& arithmetic, Workers& workers)
    : state_(std::make_unique<State>(spec, arithmetic, workers)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;

const ModelSpec& Model::spec() const {
  return state_->spec;
}
const linalg::Arithmetic& Model::arithmetic() const {
  return state_->products.arithmetic();
}
Workers& Model::workers() {
  return state_->workers;
}
std::span<float> Model::parameters() {
  return state_->parameters.span();
}
std::span<const float> Model::parameters() const {
  return state_->parameters.span();
}
std::span<const ElementRange> Model::buckets() const {
  return state_->buckets;
}

void Model::initialise(std::uint64_t seed) {
  const std::span<float> all = parameters();
  for (std::size_t l = 0; l < state_->layers.size(); ++l) {
    const Layer& layer = state_->layers[l];
    const Initialisation wanted = state_->spec.layers[l].initialisation;
    const bool he = wanted == Initialisation::automatic
                        ? layer.map == Map::relu || layer.map == Map::gelu
                        : wanted == Initialisation::he;
    const bool fan_in = wanted == Initialisation::fan_in;
    const double fan = he || fan_in ? layer.inputs : static_cast<double>(layer.inputs) + layer.outputs;
    const auto limit = static_cast<float>(std::sqrt((fan_in ? 1.0 : 6.0) / fan));
    Rng rng(seed, Purpose::initial_parameters, static_cast<std::uint32_t>(l));
    for (std::uint64_t i = layer.weights; i < layer.biases; ++i)
      all[i] = rng.uniform(-limit, limit);
    for (std::uint64_t i = layer.biases; i < layer.biases + layer.outputs; ++i)
      all[i] = fan_in ? rng.uniform(-limit, limit) : 0.0F;
  }
}

void Model::backprop(const Batch& batch, std::span<const std::uint32_t> group_sizes,
                     std::span<float* const> partials, std::span<double> losses,
                     const std::function<void(std::size_t)>& ready) {
  backprop(state_->parameters.span(), batch, group_sizes, partials, losses, ready);
}

void Model::backprop(std::span<const float> parameters, const Batch& batch,
                     std::span<const std::uint32_t> group_sizes, std::span<float* const> partials,
                     std::span<double> losses, const std::function<void(std::size_t)>& ready) {
  State& s = *state_;
  std::uint64_t grouped = 0;
  for (const std::uint32_t size : group_sizes) grouped += size;
  if (grouped != batch.segments() || partials.size() != group_sizes.size() ||
      losses.size() != batch.segments() || batch.offsets.back() != batch.rows ||
      batch.features.size() != std::size_t{batch.rows} * s.spec.ends.inputs ||
      parameters.size() != s.parameters.size()) {
    fail(Exit::bug, "a batch of {} segments and {} rows with {} features, {} grouped, {} losses, {} parameters",
         batch.segments(), batch.rows, batch.features.size(), grouped, losses.size(), parameters.size());
  }
  s.place(batch);
  const std::uint32_t rows = s.slots.back();
  s.forward(parameters.data(), rows);
  s.head(batch, s.slots, s.layers.back().y.data(), s.d[0].data(), losses);

  float* dy = s.d[0].data();
  float* dx = s.d[1].data();
  for (std::size_t bucket = 0; bucket < s.pieces.size(); ++bucket) {
    const Piece& piece = s.pieces[bucket];
    const Layer& layer = s.layers[piece.layer];
    const bool first = piece.layer == 0;
    linalg::WeightGradientArgs args;
    // Rows as they came need no transposition, where segments did not have to be moved.
    args.x_in_panels = !first || s.products.arithmetic().fixed_shapes();
    args.x = !first             ? s.layers[piece.layer - 1].y.data()
             : args.x_in_panels ? s.x.data()
                                : batch.features.data();
    args.dy = dy;
    args.offsets = s.slots.data();
    args.groups = group_sizes.data();
    args.group_count = static_cast<std::uint32_t>(group_sizes.size());
    args.partials = partials.data();
    args.weight_offset = layer.weights;
    args.bias_offset = layer.biases;
    args.inputs = layer.inputs;
    args.outputs = layer.outputs;
    args.rows = rows;
    const bool last = piece.outputs.end == layer.outputs;
    s.products.gradient(args, piece.outputs, last);
    ready(bucket);
    if (!last || first) continue;
    const Layer& below = s.layers[piece.layer - 1];
    const float* y = below.map == Map::gelu ? below.before.data() : below.y.data();
    s.products.backward({dy, parameters.data() + layer.weights, dx, y, layer.inputs,
                         layer.outputs, rows, below.map});
    std::swap(dy, dx);
  }
}

void Model::predict(std::span<const float> features, std::uint32_t rows, std::span<float> out) {
  State& s = *state_;
  const std::size_t inputs = s.spec.ends.inputs, outputs = s.spec.ends.outputs;
  if (features.size() != rows * inputs || out.size() != rows * outputs) {
    fail(Exit::bug, "{} rows with {} features into {} outputs", rows, features.size(), out.size());
  }
  constexpr std::uint32_t kRows = 256;  // at once, so that memory does not grow with the rows
  for (std::uint32_t first = 0; first < rows; first += kRows) {
    const std::uint32_t count = std::min(kRows, rows - first);
    s.reserve(count);
    s.products.pack(features.data() + first * inputs, count, s.spec.ends.inputs, s.x.data());
    s.forward(s.parameters.data(), count);
    s.products.unpack(s.layers.back().y.data(), count, s.spec.ends.outputs,
                      out.data() + first * outputs);
  }
}

}  // namespace dl::nn
