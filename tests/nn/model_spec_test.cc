// SPDX-License-Identifier: MIT
#include "nn/model_spec.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"

using namespace dl;
using namespace dl::nn;

namespace {

const Ends kDigits{784, 10, Loss::softmax_cross_entropy};

std::string complaint(std::string_view text, const Ends& ends = kDigits) {
  try {
    parse_model(text, "m", ends);
  } catch (const Error& e) {
    CHECK(e.code() == Exit::data);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("model: layers chain from the features to the head") {
  const ModelSpec spec = parse_model("dense 512 relu; dense 256 tanh glorot; dense 9 fan-in", "m", kDigits);
  const std::vector<DenseSpec> wanted = {
      {784, 512, Activation::relu, Initialisation::automatic},
      {512, 256, Activation::tanh, Initialisation::glorot},
      {256, 9, Activation::none, Initialisation::fan_in},
      {9, 10, Activation::none, Initialisation::automatic}};
  CHECK(spec.layers == wanted);
  CHECK(spec.parameter_count() == 785 * 512 + 513 * 256 + 257 * 9 + 100);
  CHECK(spec.text() == "dense 512 relu; dense 256 tanh glorot; dense 9 fan-in");
}

TEST_CASE("model: tensors have the names and offsets of nn.Sequential") {
  const ModelSpec spec = parse_model("dense 6 relu; dense 5; dense 4 gelu", "m", {3, 2});
  const auto tensors = spec.tensors();
  std::string names;
  std::uint64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    names += tensor.name + " ";
    CHECK(tensor.offset == offset);
    std::uint64_t size = 1;
    for (const std::uint64_t extent : tensor.shape) size *= extent;
    offset += size;
  }
  CHECK(names == "0.weight 0.bias 2.weight 2.bias 3.weight 3.bias 5.weight 5.bias ");
  CHECK(tensors[0].shape == std::vector<std::uint64_t>{6, 3});
  CHECK(tensors[1].shape == std::vector<std::uint64_t>{6});
  CHECK(offset == spec.parameter_count());
}

TEST_CASE("model: an empty text is the head alone") {
  for (const char* text : {"", "\n", " ;; ", "# nothing; dense 3\n", "\r\n"}) {
    const ModelSpec spec = parse_model(text, "m", {4, 1, Loss::squared_error});
    CHECK(spec.layers.size() == 1);
    CHECK(spec.parameter_count() == 5);
    CHECK(spec.text().empty());
  }
}

TEST_CASE("model: lines, semicolons, blanks and comments mean the same") {
  const ModelSpec wanted = parse_model("dense 8 relu; dense 4 he", "m", kDigits);
  for (const char* text : {"dense 8 relu\ndense 4 none he\n", "\tdense  8 relu;\r\ndense 4 he;",
                           "# two; layers\ndense 8 relu # wide\n\n;dense 4 he#narrow"}) {
    CHECK(parse_model(text, "m", kDigits).layers == wanted.layers);
  }
}

TEST_CASE("model: text() reads back to the same model") {
  const Activation activations[] = {Activation::none, Activation::relu, Activation::gelu,
                                    Activation::tanh, Activation::sigmoid};
  const Initialisation initialisations[] = {Initialisation::automatic, Initialisation::he,
                                            Initialisation::glorot};
  Rng rng(1, Purpose::test);
  for (int i = 0; i < 500; ++i) {
    ModelSpec spec{kDigits, {}};
    std::uint32_t inputs = kDigits.inputs;
    for (std::uint64_t n = rng.below(8); n > 0; --n) {
      const auto units = static_cast<std::uint32_t>(1 + rng.below(4096));
      spec.layers.push_back(
          {inputs, units, activations[rng.below(5)], initialisations[rng.below(3)]});
      inputs = units;
    }
    spec.layers.push_back({inputs, kDigits.outputs});
    const ModelSpec back = parse_model(spec.text(), "m", kDigits);
    CHECK(back.layers == spec.layers);
    CHECK(back.text() == spec.text());
  }
}

TEST_CASE("model: a complaint shows source, line, column and what would do") {
  CHECK(complaint("dense 8 relu\n  conv 3") ==
        "m:2:3: 'conv' is not a kind of layer; 'dense UNITS [ACTIVATION] [INITIALISATION]' is");
  CHECK(complaint("dense 8; dense 4 rellu") ==
        "m:1:18: 'rellu' is neither an activation (relu, gelu, tanh, sigmoid, none) nor an "
        "initialisation (he, glorot, fan-in)");
  CHECK(complaint("dense ") ==
        "m:1:6: the number of units is missing: dense UNITS, from 1 to 65536");
  CHECK(complaint("dense relu") ==
        "m:1:7: 'relu' is not a number of units, a whole number from 1 to 65536");
  for (const char* bad : {"dense 0", "dense -1", "dense +1", "dense 65537", "dense 1e3",
                          "dense 99999999999999999999", "dense 8.0", "dense 0x10"}) {
    CHECK(complaint(bad).find("m:1:7: ") == 0);
  }
  CHECK(complaint("dense 8 relu tanh") == "m:1:14: a layer has one activation");
  CHECK(complaint("dense 8 he he") == "m:1:12: a layer has one initialisation");
  CHECK(complaint("dense 8 he relu") ==
        "m:1:12: the activation comes before the initialisation");
  CHECK(complaint("dense 8 \x1b[31m").find("\x1b") == std::string::npos);
}

TEST_CASE("model: layers, units and parameters are bounded") {
  std::string deep;
  for (int i = 0; i < 63; ++i) deep += "dense 2\n";
  CHECK(parse_model(deep, "m", kDigits).layers.size() == 64);
  CHECK(complaint(deep + "dense 2") == "m:64:1: more than 64 layers, with the head");
  CHECK(complaint("dense 65536; dense 65536") ==
        "m:1:20: the model has 4346478592 parameters up to here, more than 2147483648");
  CHECK(complaint("", {4000000, 1000}) ==
        "m: the model with its head has 4000001000 parameters, more than 2147483648");
  CHECK(complaint(std::string(100000, ' ')) == "m: a model of 100000 bytes is longer than 65536");
}

TEST_CASE("model: data without features or with too few outputs is refused") {
  CHECK(complaint("", {0, 10}) == "m: the data has no features");
  CHECK(complaint("", {4, 1}) == "m: the head cannot have 1 outputs, only 2 to 65536");
  CHECK(complaint("", {4, 0, Loss::squared_error}) ==
        "m: the head cannot have 0 outputs, only 1 to 65536");
}

TEST_CASE("model: any text is read or refused with a place, never worse") {
  const std::string_view pieces[] = {"dense", "den",  "relu", "he",  " ",    ";",      "\n", "#",
                                     "0",     "17",   "-",    "\t",  "none", "65536",  "x",  "\r",
                                     "glorot", "gelu", "\xff", "\0"};
  Rng rng(2, Purpose::test);
  int read = 0;
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = i % 2 == 0 ? "dense 3 " : "";
    for (std::uint64_t n = rng.below(12); n > 0; --n) text += pieces[rng.below(std::size(pieces))];
    try {
      const ModelSpec spec = parse_model(text, "m", kDigits);
      CHECK(parse_model(spec.text(), "m", kDigits).layers == spec.layers);
      ++read;
    } catch (const Error& e) {
      CHECK(e.code() == Exit::data);
      CHECK(std::string_view(e.what()).substr(0, 2) == "m:");
      ++refused;
    }
  }
  CHECK(read > 1000);
  CHECK(refused > 1000);
}

TEST_CASE("model: every model that is shipped reads") {
  int models = 0;
  for (const auto& entry : fs::directory_iterator(DL_MODELS)) {
    if (entry.path().extension() != ".model") continue;
    const std::string text = read_file(entry.path(), 1 << 16);
    CHECK(parse_model(text, entry.path().string(), kDigits).layers.size() >= 1);
    ++models;
  }
  CHECK(models >= 3);
}
