// SPDX-License-Identifier: MIT
#include "optim/optimizer.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"

using namespace dl;
using namespace dl::optim;

namespace {

// The parameters after `steps` updates of one weight that begins at `w` under the gradient `g(w)`.
template <typename Gradient>
float follow(const OptimizerSpec& spec, float w, float lr, unsigned steps, Gradient gradient,
             float scale = 1.0F) {
  std::vector<float> slot0(1, 0.0F), slot1(1, 0.0F);
  std::vector<std::span<float>> slots;
  if (!slot_names(spec.kind).empty()) slots.emplace_back(slot0);
  if (slot_names(spec.kind).size() > 1) slots.emplace_back(slot1);
  for (unsigned t = 1; t <= steps; ++t) {
    const float g = gradient(w);
    update(spec, {t, lr, scale}, {&w, 1}, {&g, 1}, slots);
  }
  return w;
}

const auto kOne = [](float) { return 1.0F; };
const auto kNothing = [](float) { return 0.0F; };
const auto kItself = [](float w) { return w; };  // of w^2 / 2

}  // namespace

TEST_CASE("optimizer: sgd on a square shrinks by 1 - lr each step") {
  const float w = follow({.kind = Kind::sgd}, 1.0F, 0.25F, 10, kItself);
  CHECK(w == doctest::Approx(std::pow(0.75, 10)).epsilon(1e-6));
}

TEST_CASE("optimizer: sgd uses the gradient's scale") {
  CHECK(follow({.kind = Kind::sgd}, 1.0F, 0.5F, 1, kOne, 0.25F) == 0.875F);
}

TEST_CASE("optimizer: momentum under a constant gradient adds a geometric series") {
  // m_t = (1 - mu^t) / (1 - mu); powers of two are exact.
  const OptimizerSpec spec{.kind = Kind::momentum, .momentum = 0.5F};
  double w = 0;
  for (int t = 1; t <= 12; ++t) w -= 0.125 * 2 * (1 - std::pow(0.5, t));
  CHECK(follow(spec, 0.0F, 0.125F, 12, kOne) == static_cast<float>(w));
}

TEST_CASE("optimizer: nesterov is momentum that looks one step ahead") {
  const OptimizerSpec spec{.kind = Kind::nesterov, .momentum = 0.5F};
  double w = 0;
  for (int t = 1; t <= 12; ++t) w -= 0.125 * (1 + 0.5 * 2 * (1 - std::pow(0.5, t)));
  CHECK(follow(spec, 0.0F, 0.125F, 12, kOne) == static_cast<float>(w));
}

TEST_CASE("optimizer: momentum of 0 is sgd, for both kinds") {
  const float wanted = follow({.kind = Kind::sgd}, 1.0F, 0.1F, 5, kItself);
  CHECK(follow({.kind = Kind::momentum, .momentum = 0}, 1.0F, 0.1F, 5, kItself) == wanted);
  CHECK(follow({.kind = Kind::nesterov, .momentum = 0}, 1.0F, 0.1F, 5, kItself) == wanted);
}

TEST_CASE("optimizer: adam under a constant gradient walks lr per step, whatever its size") {
  for (const float size : {1e-3F, 1.0F, 1e3F}) {
    const float w =
        follow({.kind = Kind::adam}, 0.0F, 0.01F, 100, [&](float) { return size; });
    CHECK(w == doctest::Approx(-1.0).epsilon(1e-4));
  }
}

TEST_CASE("optimizer: adam follows algorithm 1 of the paper, reckoned in double") {
  const OptimizerSpec spec{.kind = Kind::adam};
  const double b1 = spec.beta1, b2 = spec.beta2;
  double w = 1, m = 0, v = 0;
  for (int t = 1; t <= 50; ++t) {
    m = b1 * m + (1 - b1) * w;
    v = b2 * v + (1 - b2) * w * w;
    const double m_hat = m / (1 - std::pow(b1, t)), v_hat = v / (1 - std::pow(b2, t));
    w -= 0.01 * m_hat / (std::sqrt(v_hat) + 1e-8);
  }
  CHECK(follow(spec, 1.0F, 0.01F, 50, kItself) == doctest::Approx(w).epsilon(1e-5));
}

TEST_CASE("optimizer: weight decay is part of the gradient, in adamw of the weight alone") {
  CHECK(follow({.kind = Kind::sgd, .weight_decay = 0.5F}, 2.0F, 0.25F, 1, kNothing) == 1.75F);
  CHECK(follow({.kind = Kind::momentum, .weight_decay = 0.5F}, 2.0F, 0.25F, 1, kNothing) == 1.75F);
  CHECK(follow({.kind = Kind::nesterov, .momentum = 0.5F, .weight_decay = 0.5F}, 2.0F, 0.25F, 1,
               kNothing) == 1.625F);
  CHECK(follow({.kind = Kind::adamw, .weight_decay = 0.5F}, 2.0F, 0.25F, 3, kNothing) ==
        2.0F * 0.875F * 0.875F * 0.875F);
  // Adam's first step goes lr against the gradient's sign, and the decay is that gradient.
  CHECK(follow({.kind = Kind::adam, .weight_decay = 0.5F}, 2.0F, 0.25F, 1, kNothing) ==
        doctest::Approx(1.75).epsilon(1e-6));
}

TEST_CASE("optimizer: adamw without decay is adam") {
  CHECK(follow({.kind = Kind::adamw}, 1.0F, 0.01F, 20, kItself) ==
        follow({.kind = Kind::adam}, 1.0F, 0.01F, 20, kItself));
}

TEST_CASE("optimizer: names and slots") {
  for (const Kind kind :
       {Kind::sgd, Kind::momentum, Kind::nesterov, Kind::adam, Kind::adamw}) {
    CHECK(parse_kind(name_of(kind)) == kind);
  }
  CHECK(slot_names(Kind::sgd).empty());
  CHECK(slot_names(Kind::nesterov) == std::vector<std::string>{"momentum"});
  CHECK(slot_names(Kind::adamw) == std::vector<std::string>{"m", "v"});
  try {
    parse_kind("rmsprop");
    FAIL("taken");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::usage);
    CHECK(std::string(e.what()) ==
          "'rmsprop' is not an optimizer; sgd, momentum, nesterov, adam and adamw are");
  }
}

TEST_CASE("optimizer: spans that do not go together are a bug") {
  std::vector<float> w(4), g(3), m(4);
  const std::vector<std::span<float>> slots = {m};
  CHECK_THROWS_AS(update({.kind = Kind::sgd}, {}, w, g, {}), Error);
  CHECK_THROWS_AS(update({.kind = Kind::sgd}, {}, w, m, slots), Error);
  CHECK_THROWS_AS(update({.kind = Kind::adam}, {}, w, m, slots), Error);
}

TEST_CASE("optimizer: the scale divides by the weight and clips the norm of the mean gradient") {
  CHECK(gradient_scale(4, 1e6, 0) == 0.25F);
  CHECK(gradient_scale(4, 16 * 9, 3) == 0.25F);            // norm 3: not above
  CHECK(gradient_scale(4, 16 * 36, 3) == 0.125F);          // norm 6: halved
  CHECK(gradient_scale(0, 0, 3) == 0.0F);
}

TEST_CASE("optimizer: the sum of squares is right and does not overflow float32") {
  Rng rng(3, Purpose::test);
  std::vector<float> values(3 * 4096 + 77);
  long double wanted = 0;
  for (float& value : values) {
    value = rng.uniform(-1, 1);
    wanted += static_cast<long double>(value) * value;
  }
  CHECK(sum_of_squares(values) == doctest::Approx(static_cast<double>(wanted)).epsilon(1e-14));
  CHECK(sum_of_squares({}) == 0);
  const std::vector<float> big(3, 1e30F);
  CHECK(sum_of_squares(big) == doctest::Approx(3e60));
}
