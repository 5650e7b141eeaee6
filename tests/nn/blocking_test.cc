// SPDX-License-Identifier: MIT
#include "nn/blocking.h"

#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"

using namespace dl;
using nn::Blocking;

namespace {

nn::ModelSpec spec_of(const std::string& text) {
  return nn::parse_model(text, "model", {6, 3, nn::Loss::softmax_cross_entropy});
}

std::vector<std::size_t> pairs_of(const std::string& text, std::uint32_t blocks) {
  const Blocking blocking(spec_of(text), blocks);
  return {blocking.pairs().begin(), blocking.pairs().end()};
}

std::vector<Blocking::Run> all_runs(const Blocking& blocking) {
  std::vector<Blocking::Run> runs = blocking.common();
  for (std::uint32_t b = 0; b < blocking.blocks(); ++b) {
    for (const Blocking::Run& run : blocking.block(b)) runs.push_back(run);
  }
  return runs;
}

}  // namespace

TEST_CASE("blocking: common elements and blocks are each element of the flat array once") {
  for (const char* text : {"dense 24 relu", "dense 17 gelu; dense 13 tanh; dense 19 relu", "dense 9; dense 11"}) {
    for (const std::uint32_t blocks : {1U, 2U, 5U, 8U}) {
      const nn::ModelSpec spec = spec_of(text);
      const Blocking blocking(spec, blocks);
      const std::vector<Blocking::Run> runs = all_runs(blocking);
      std::vector<float> flat(spec.parameter_count()), blocked(flat.size()), back(flat.size(), -1.0F);
      std::iota(flat.begin(), flat.end(), 0.0F);
      REQUIRE(nn::total(runs) == flat.size());
      nn::gather(runs, flat, blocked.data());
      nn::scatter(runs, blocked.data(), back);
      CHECK(back == flat);
      std::uint64_t floats = blocking.common_floats();
      for (std::uint32_t b = 0; b < blocks; ++b) floats += blocking.block_floats(b);
      CHECK(floats == flat.size());
    }
  }
}

TEST_CASE("blocking: a block is its units' rows, biases and columns") {
  const Blocking blocking(spec_of("dense 5"), 2);  // weights 5 x 6, biases 5, weights 3 x 5, biases 3
  CHECK(blocking.unit(0, 1) == 2);
  const std::vector<Blocking::Run> block = blocking.block(1);  // units 2, 3, 4
  const std::vector<std::uint64_t> begins = {12, 32, 37, 42, 47}, sizes = {18, 3, 3, 3, 3};
  REQUIRE(block.size() == begins.size());
  for (std::size_t i = 0; i < block.size(); ++i) {
    CHECK(block[i].begin == begins[i]);
    CHECK(block[i].size == sizes[i]);
  }
  REQUIRE(blocking.common().size() == 1);
  CHECK(blocking.common()[0].begin == 50);
  CHECK(blocking.common()[0].size == 3);
  CHECK(blocking.sums() == std::vector<std::uint32_t>{3});
}

TEST_CASE("blocking: pairs leave the fewest weights in common, and have a unit for each block") {
  CHECK(pairs_of("dense 9", 8) == std::vector<std::size_t>{0});
  CHECK(pairs_of("dense 20; dense 10", 8) == std::vector<std::size_t>{0});
  CHECK(pairs_of("dense 10; dense 200", 8) == std::vector<std::size_t>{1});
  CHECK(pairs_of("dense 10; dense 20; dense 30", 8) == std::vector<std::size_t>{0, 2});
  CHECK(pairs_of("dense 4; dense 20; dense 5", 8) == std::vector<std::size_t>{1});
  CHECK(Blocking(spec_of("dense 10; dense 20; dense 30"), 8).sums() == std::vector<std::uint32_t>{20, 3, 20});
}

TEST_CASE("blocking: work is that of the products of a row") {
  const Blocking blocking(spec_of("dense 20; dense 10"), 4);
  CHECK(blocking.block_work(0) == 5 * (2 * 6 + 3 * 10));
  CHECK(blocking.common_work() == 3 * 10 * 3);
}

TEST_CASE("blocking: a model without a pair is refused with 64") {
  const auto message = [](const std::string& text, std::uint32_t blocks) {
    try {
      Blocking(spec_of(text), blocks);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  CHECK(message("", 1).find("this model has one layer") != std::string::npos);
  CHECK(message("dense 7 relu; dense 3", 8) ==
        "--blocks 8: the widest hidden layer has 7 units, and a block has at least one");
}
