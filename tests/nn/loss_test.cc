// SPDX-License-Identifier: MIT
#include "nn/loss.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"

using namespace dl::nn;

TEST_CASE("loss: cross-entropy of equal logits is the log of their number") {
  const std::vector<float> logits(10, 3.5F);
  CHECK(cross_entropy(logits, 7) == doctest::Approx(std::log(10.0)));
}

TEST_CASE("loss: cross-entropy against the exact value, and far from zero") {
  const std::vector<float> logits = {1.0F, -2.0F, 0.5F};
  const double sum = std::exp(1.0) + std::exp(-2.0) + std::exp(0.5);
  for (std::uint32_t label = 0; label < 3; ++label) {
    CHECK(cross_entropy(logits, label) == doctest::Approx(std::log(sum) - logits[label]));
  }
  const std::vector<float> far = {1000.0F, 900.0F, -1000.0F};
  CHECK(cross_entropy(far, 0) == 0.0F);
  CHECK(cross_entropy(far, 2) == 2000.0F);
  CHECK_THROWS_AS((void)cross_entropy(far, 3), dl::Error);
}

TEST_CASE("loss: a logit that is not a number shows") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t at = 0; at < 3; ++at) {
    std::vector<float> logits = {1.0F, 2.0F, 3.0F};
    logits[at] = nan;
    CHECK(std::isnan(cross_entropy(logits, 1)));
  }
}

TEST_CASE("loss: softmax adds up to one, and squared error is half the square") {
  std::vector<float> logits = {1.0F, 2.0F, 3.0F, -50.0F};
  softmax(logits);
  CHECK(logits[0] + logits[1] + logits[2] + logits[3] == doctest::Approx(1.0));
  CHECK(logits[2] / logits[1] == doctest::Approx(std::exp(1.0)));
  const std::vector<float> outputs = {1.0F, 5.0F}, wanted = {0.0F, 2.0F};
  CHECK(squared_error(outputs, wanted) == 5.0F);
}
