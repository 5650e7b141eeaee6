// SPDX-License-Identifier: MIT
// The text of a model and what follows from it; no linear algebra, so that dl-coord can check it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dl::nn {

enum class Activation { none, relu, gelu, tanh, sigmoid };
enum class Loss { softmax_cross_entropy, squared_error };
// automatic: He before relu and gelu, else Glorot. fan_in: PyTorch's way of old, biases too
// (LeCun, Bottou, Orr, Müller: "Efficient BackProp", 1998, section 4.6, up to a factor).
enum class Initialisation { automatic, he, glorot, fan_in };

struct DenseSpec {
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  Activation activation = Activation::none;
  Initialisation initialisation = Initialisation::automatic;
  bool operator==(const DenseSpec&) const = default;
};

// What the data asks of the model's ends.
struct Ends {
  std::uint32_t inputs = 0;   // features of a row
  std::uint32_t outputs = 0;  // classes, or numbers to predict
  Loss loss = Loss::softmax_cross_entropy;
};

// A tensor of the flat parameter array: elements [offset, offset + product of shape).
struct TensorSpec {
  std::string name;                  // "0.weight", "0.bias": PyTorch's names for nn.Sequential
  std::vector<std::uint64_t> shape;  // weight: {outputs, inputs}; bias: {outputs}
  std::uint64_t offset = 0;
};

// A chain of dense layers; the last one is the head, which the data asks for.
struct ModelSpec {
  Ends ends;
  std::vector<DenseSpec> layers;

  std::uint64_t parameter_count() const;
  // Weight, then bias, layer by layer; the order of the flat array and of the checkpoint. Layers are
  // numbered as PyTorch's nn.Sequential numbers them when each activation is a module of its own.
  std::vector<TensorSpec> tensors() const;
  // One line that parse_model reads back, without the head: "dense 512 relu; dense 256 relu".
  std::string text() const;
};

// Reads a model, one layer per line or ';' between layers, '#' begins a comment:
//   dense UNITS [relu|gelu|tanh|sigmoid|none] [he|glorot]
// and adds the head. An empty text is the head alone (linear or logistic regression).
// `source` names the text in messages; a bad one is exit 65 and shows source, line and column.
ModelSpec parse_model(std::string_view text, const std::string& source, const Ends& ends);

}  // namespace dl::nn
