// SPDX-License-Identifier: MIT
#include "nn/model_spec.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/error.h"

namespace dl::nn {

namespace {

constexpr std::size_t kMostLayers = 64;  // with the head
constexpr std::uint32_t kMostUnits = 65536;
constexpr std::uint64_t kMostParameters = std::uint64_t{1} << 31;
constexpr std::size_t kLongestText = 1 << 16;

constexpr std::array<std::pair<std::string_view, Activation>, 5> kActivations = {{
    {"relu", Activation::relu},
    {"gelu", Activation::gelu},
    {"tanh", Activation::tanh},
    {"sigmoid", Activation::sigmoid},
    {"none", Activation::none},
}};

constexpr std::array<std::pair<std::string_view, Initialisation>, 3> kInitialisations = {{
    {"he", Initialisation::he},
    {"glorot", Initialisation::glorot},
    {"fan-in", Initialisation::fan_in},
}};

template <typename Table>
auto look_up(const Table& table, std::string_view name)
    -> std::optional<typename Table::value_type::second_type> {
  for (const auto& [known, value] : table) {
    if (known == name) return value;
  }
  return std::nullopt;
}

template <typename Table>
std::string_view name_in(const Table& table, typename Table::value_type::second_type wanted) {
  for (const auto& [name, value] : table) {
    if (value == wanted) return name;
  }
  return "";
}

struct Word {
  std::string_view text;
  std::size_t line = 1;
  std::size_t column = 1;  // in bytes, from 1
};

// The words of one layer, and where the layer ends (for what is missing).
struct Line {
  std::vector<Word> words;
  Word end;
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::vector<Line> split(std::string_view text) {
  std::vector<Line> lines(1);
  std::size_t line = 1;
  std::size_t line_begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '#') {
      while (at < text.size() && text[at] != '\n') ++at;
      continue;
    }
    if (c == '\n' || c == ';') {
      ++at;
      if (c == '\n') {
        ++line;
        line_begin = at;
      }
      lines.emplace_back();
      continue;
    }
    if (is_blank(c)) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && !is_blank(text[at]) && text[at] != '\n' && text[at] != ';' &&
           text[at] != '#') {
      ++at;
    }
    lines.back().words.push_back({text.substr(begin, at - begin), line, begin - line_begin + 1});
    lines.back().end = {{}, line, at - line_begin + 1};
  }
  return lines;
}

class LayerReader {
 public:
  LayerReader(const Line& line, const std::string& source) : line_(line), source_(source) {}

  DenseSpec read() {
    const Word& kind = line_.words.front();
    if (kind.text != "dense") {
      refuse(kind, "{} is not a kind of layer; 'dense UNITS [ACTIVATION] [INITIALISATION]' is",
             shown(kind.text));
    }
    DenseSpec layer;
    layer.outputs = units();
    for (std::size_t i = 2; i < line_.words.size(); ++i) option(layer, line_.words[i]);
    return layer;
  }

  template <typename... Args>
  [[noreturn]] void refuse(const Word& at, fmt::format_string<Args...> f, Args&&... args) const {
    fail(Exit::data, "{}:{}:{}: {}", source_, at.line, at.column,
         fmt::format(f, std::forward<Args>(args)...));
  }

 private:
  std::uint32_t units() const {
    if (line_.words.size() < 2) {
      refuse(line_.end, "the number of units is missing: dense UNITS, from 1 to {}", kMostUnits);
    }
    const Word& word = line_.words[1];
    std::uint32_t value = 0;
    const char* last = word.text.data() + word.text.size();
    const auto [end, error] = std::from_chars(word.text.data(), last, value);
    if (error != std::errc() || end != last || value < 1 || value > kMostUnits) {
      refuse(word, "{} is not a number of units, a whole number from 1 to {}", shown(word.text),
             kMostUnits);
    }
    return value;
  }

  void option(DenseSpec& layer, const Word& word) {
    if (const auto activation = look_up(kActivations, word.text)) {
      if (std::exchange(has_activation_, true)) refuse(word, "a layer has one activation");
      if (has_initialisation_) refuse(word, "the activation comes before the initialisation");
      layer.activation = *activation;
    } else if (const auto initialisation = look_up(kInitialisations, word.text)) {
      if (std::exchange(has_initialisation_, true)) refuse(word, "a layer has one initialisation");
      layer.initialisation = *initialisation;
    } else {
      refuse(word,
             "{} is neither an activation (relu, gelu, tanh, sigmoid, none) nor an initialisation "
             "(he, glorot, fan-in)",
             shown(word.text));
    }
  }

  const Line& line_;
  const std::string& source_;
  bool has_activation_ = false;
  bool has_initialisation_ = false;
};

void check_ends(const Ends& ends, const std::string& source) {
  if (ends.inputs < 1) fail(Exit::data, "{}: the data has no features", source);
  const bool classes = ends.loss == Loss::softmax_cross_entropy;
  const std::uint32_t least = classes ? 2 : 1;
  if (ends.outputs < least || ends.outputs > kMostUnits) {
    fail(Exit::data, "{}: the head cannot have {} outputs, only {} to {}", source, ends.outputs,
         least, kMostUnits);
  }
}

}  // namespace

std::uint64_t ModelSpec::parameter_count() const {
  std::uint64_t count = 0;
  for (const DenseSpec& layer : layers) {
    count += (std::uint64_t{layer.inputs} + 1) * layer.outputs;
  }
  return count;
}

std::vector<TensorSpec> ModelSpec::tensors() const {
  std::vector<TensorSpec> tensors;
  std::uint64_t offset = 0;
  unsigned module = 0;
  for (const DenseSpec& layer : layers) {
    const std::uint64_t weights = std::uint64_t{layer.outputs} * layer.inputs;
    tensors.push_back({fmt::format("{}.weight", module), {layer.outputs, layer.inputs}, offset});
    tensors.push_back({fmt::format("{}.bias", module), {layer.outputs}, offset + weights});
    offset += weights + layer.outputs;
    module += layer.activation == Activation::none ? 1 : 2;
  }
  return tensors;
}

std::string ModelSpec::text() const {
  std::string text;
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    const DenseSpec& layer = layers[i];
    text += fmt::format("{}dense {}", i == 0 ? "" : "; ", layer.outputs);
    if (layer.activation != Activation::none) {
      text += fmt::format(" {}", name_in(kActivations, layer.activation));
    }
    if (layer.initialisation != Initialisation::automatic) {
      text += fmt::format(" {}", name_in(kInitialisations, layer.initialisation));
    }
  }
  return text;
}

ModelSpec parse_model(std::string_view text, const std::string& source, const Ends& ends) {
  check_ends(ends, source);
  if (text.size() > kLongestText) {
    fail(Exit::data, "{}: a model of {} bytes is longer than {}", source, text.size(),
         kLongestText);
  }
  ModelSpec spec{ends, {}};
  std::uint32_t inputs = ends.inputs;
  std::uint64_t parameters = 0;
  for (const Line& line : split(text)) {
    if (line.words.empty()) continue;
    LayerReader reader(line, source);
    DenseSpec layer = reader.read();
    if (spec.layers.size() + 1 == kMostLayers) {
      reader.refuse(line.words.front(), "more than {} layers, with the head", kMostLayers);
    }
    layer.inputs = inputs;
    inputs = layer.outputs;
    parameters += (std::uint64_t{layer.inputs} + 1) * layer.outputs;
    if (parameters > kMostParameters) {
      reader.refuse(line.words[1], "the model has {} parameters up to here, more than {}",
                    parameters, kMostParameters);
    }
    spec.layers.push_back(layer);
  }
  spec.layers.push_back({inputs, ends.outputs, Activation::none, Initialisation::automatic});
  if (const std::uint64_t all = spec.parameter_count(); all > kMostParameters) {
    fail(Exit::data, "{}: the model with its head has {} parameters, more than {}", source, all,
         kMostParameters);
  }
  return spec;
}

}  // namespace dl::nn
