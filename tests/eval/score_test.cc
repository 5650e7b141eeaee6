// SPDX-License-Identifier: MIT
#include "eval/score.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "data/shard_writer.h"
#include "eval/predict.h"
#include "sample.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::eval;

namespace {

constexpr nn::Ends kClasses{2, 3, nn::Loss::softmax_cross_entropy};
constexpr nn::Ends kNumber{2, 1, nn::Loss::squared_error};

}  // namespace

TEST_CASE("score: loss and accuracy of rows reckoned by hand") {
  const std::vector<float> logits = {0, 0, 0, 2, 1, 0, 0, 5, 5};
  const std::vector<std::uint32_t> wanted = {0, 1, 1};
  const Rows rows{3, {}, wanted, {}, {}};
  const Score score = score_outputs(logits, rows, kClasses, test::flower_schema());
  const double second = std::log(std::exp(1.0) + 1 + std::exp(-1.0));
  const double third = std::log(2 + std::exp(-5.0));
  CHECK(score.mean_loss() == doctest::Approx((std::log(3.0) + second + third) / 3).epsilon(1e-6));
  CHECK(score.correct == 2);  // of equal logits the first counts
  CHECK(score.accuracy() == 2.0 / 3);
  CHECK(score.rows == 3);
}

TEST_CASE("score: rows count by their weight, in loss and accuracy") {
  const std::vector<float> logits = {0, 0, 0, 0, 0, 0};
  const std::vector<std::uint32_t> wanted = {0, 1};
  const std::vector<float> weights = {3, 1};
  const Rows rows{2, {}, wanted, {}, weights};
  const Score score = score_outputs(logits, rows, kClasses, test::flower_schema());
  CHECK(score.weight == 4);
  CHECK(score.accuracy() == 0.75);
  CHECK(score.correct == 1);
  CHECK(score.mean_loss() == doctest::Approx(std::log(3.0)).epsilon(1e-6));
}

TEST_CASE("score: a regression is judged in the target's own units") {
  // Scaled by (x - 100) / 4: the numbers are 104, 100, 96 and the predictions 106, 100, 98.
  const std::vector<float> out = {1.5F, 0.0F, -0.5F};
  const std::vector<float> wanted = {1.0F, 0.0F, -1.0F};
  const Rows rows{3, {}, {}, wanted, {}};
  const Score score = score_outputs(out, rows, kNumber, test::price_schema());
  CHECK(score.rmse(1) == doctest::Approx(std::sqrt(8.0 / 3)));
  CHECK(score.mae(1) == doctest::Approx(4.0 / 3));
  CHECK(score.r2() == doctest::Approx(1 - 8.0 / 32));
  CHECK(score.mean_loss() == doctest::Approx(0.25 / 3));
}

TEST_CASE("score: R2 keeps its digits where the numbers are far from 0") {
  data::Schema schema = test::price_schema();
  schema.targets[0].scaling = {1e9, 1};
  Rng rng(1, Purpose::test);
  std::vector<float> wanted(1000), out(1000);
  double errors = 0, mean = 0, deviations = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = rng.uniform(-1, 1);
    out[i] = wanted[i] + rng.uniform(-0.1F, 0.1F);
    errors += std::pow(static_cast<double>(out[i]) - wanted[i], 2);
    mean += wanted[i] / 1000.0;
  }
  for (const float number : wanted) deviations += std::pow(number - mean, 2);
  const Rows rows{1000, {}, {}, wanted, {}};
  CHECK(score_outputs(out, rows, kNumber, schema).r2() ==
        doctest::Approx(1 - errors / deviations).epsilon(1e-12));
}

TEST_CASE("score: R2 of equal numbers is 1 or 0, and nothing of no rows is NaN") {
  const std::vector<float> wanted = {2, 2};
  const std::vector<float> off = {2, 1};
  const Rows rows{2, {}, {}, wanted, {}};
  CHECK(score_outputs(wanted, rows, kNumber, test::price_schema()).r2() == 1);
  CHECK(score_outputs(off, rows, kNumber, test::price_schema()).r2() == 0);
  const Score none;
  CHECK(none.mean_loss() == 0);
  CHECK(none.accuracy() == 0);
  CHECK(none.rmse(1) == 0);
  CHECK(none.r2() == 0);
}

TEST_CASE("score: blocks of 256 rows cover every row once") {
  CHECK(block_count(0) == 0);
  CHECK(block_count(1) == 1);
  CHECK(block_count(256) == 1);
  CHECK(block_count(257) == 2);
  CHECK(block_count(UINT32_MAX) == 16777216);
}

TEST_CASE("predict: class and probability, or the number in its own units") {
  const std::vector<float> logits = {0, std::log(2.0F), 0, 1, 0, 0};
  const auto classes = predictions(logits, kClasses, test::flower_schema());
  REQUIRE(classes.size() == 2);
  CHECK(classes[0].code == 1);
  CHECK(classes[0].probability == doctest::Approx(0.5));
  CHECK(classes[1].code == 0);
  const std::vector<float> out = {1.5F};
  CHECK(predictions(out, kNumber, test::price_schema())[0].numbers == std::vector<double>{106});
}

TEST_CASE("score: a shard's blocks add up to its score, in whatever way they are shared out") {
  const test::Scratch dir;
  constexpr std::uint32_t kRows = 2 * kBlockRows + 88;
  data::ShardShape shape;
  shape.rows = kRows;
  shape.features = 2;
  shape.classes = 3;
  data::ShardWriter writer(dir / "s", shape);
  Rng rng(2, Purpose::test);
  std::vector<float> features;
  std::vector<std::uint32_t> wanted;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    for (int j = 0; j < 2; ++j) features.push_back(writer.row()[j] = rng.uniform(-2, 2));
    wanted.push_back(static_cast<std::uint32_t>(rng.below(3)));
    writer.end_row(wanted.back());
  }
  writer.commit();

  const data::Schema schema = test::flower_schema();
  const checkpoint::Checkpoint checkpoint = test::checkpoint_of(schema, "dense 4 tanh", 1);
  Workers workers(1);
  nn::Model model(nn::parse_model("dense 4 tanh", "m", ends_of(schema)),
                  linalg::Arithmetic::defined(), workers);
  std::copy(checkpoint.parameters.begin(), checkpoint.parameters.end(),
            model.parameters().begin());
  const data::Shard shard(dir / "s");
  const Score whole = score(model, shard, schema);
  CHECK(whole.rows == kRows);

  Score sum;  // the last block first: each is a pure function of its rows
  std::vector<Score> blocks(block_count(kRows));
  RowBuffer buffer;
  for (std::uint32_t b = block_count(kRows); b-- > 0;) blocks[b] = score_block(model, shard, schema, b, buffer);
  CHECK(blocks[2].rows == 88);
  for (const Score& block : blocks) sum.add(block);
  CHECK(sum.loss == whole.loss);
  CHECK(sum.correct == whole.correct);

  std::vector<float> outputs(std::size_t{kRows} * 3);
  model.predict(features, kRows, outputs);
  const Score at_once = score_outputs(outputs, {kRows, features, wanted, {}, {}}, kClasses, schema);
  CHECK(at_once.correct == whole.correct);
  CHECK(at_once.loss == doctest::Approx(whole.loss).epsilon(1e-12));
}
