// SPDX-License-Identifier: MIT
#include "eval/score.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/rng.h"
#include "eval/predict.h"
#include "sample.h"

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
  schema.target.scaling = {1e9, 1};
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
  CHECK(predictions(out, kNumber, test::price_schema())[0].number == 106);
}
