// SPDX-License-Identifier: MIT
#include "data/gamma.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>

using namespace dl;
using namespace dl::data;

TEST_CASE("gamma: logarithm and exponential are those of the C library, to within 1e-15") {
  Rng rng(41, Purpose::test);
  for (int i = 0; i < 100000; ++i) {
    const double x = std::exp(1400 * rng.uniform_double() - 700);
    const double exact = static_cast<double>(std::log(static_cast<long double>(x)));
    CHECK(std::abs(natural_log(x) - exact) <= 1e-15 * std::abs(exact) + 1e-300);
    const double near = 0.5 + rng.uniform_double();
    const double log_near = static_cast<double>(std::log(static_cast<long double>(near)));
    CHECK(std::abs(natural_log(near) - log_near) <= 1e-15 * std::abs(log_near));
    const double y = 1400 * rng.uniform_double() - 700;
    const double power = static_cast<double>(std::exp(static_cast<long double>(y)));
    CHECK(std::abs(exponential(y) - power) <= 1e-15 * power);
  }
  CHECK(natural_log(1) == 0);
  CHECK(exponential(0) == 1);
  CHECK(exponential(-701) == 0);
}

TEST_CASE("gamma: variates have the mean and the variance of their shape") {
  for (const double shape : {0.1, 0.5, 1.0, 3.0, 50.0}) {
    CAPTURE(shape);
    Rng rng(42, Purpose::test);
    constexpr int kCount = 40000;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kCount; ++i) {
      const double x = std::exp(log_gamma_variate(shape, rng));
      sum += x;
      squares += (x - shape) * (x - shape);
    }
    CHECK(std::abs(sum / kCount - shape) < 5 * std::sqrt(shape / kCount));
    // The variance's own: (2 + 6 / shape) * shape^2 / n.
    CHECK(std::abs(squares / kCount - shape) < 5 * shape * std::sqrt((2 + 6 / shape) / kCount));
  }
}

TEST_CASE("gamma: dirichlet shares add up, and have the variance of their concentration") {
  for (const double alpha : {1e-6, 0.1, 0.5, 10.0, 1e6}) {
    CAPTURE(alpha);
    constexpr std::uint32_t kSize = 5;
    double squares = 0;
    for (std::uint32_t seed = 0; seed < 2000; ++seed) {
      const auto shares = dirichlet(alpha, kSize, Rng(seed, Purpose::test));
      double sum = 0;
      for (const double share : shares) {
        CHECK(share >= 0);
        sum += share;
      }
      CHECK(sum == doctest::Approx(1).epsilon(1e-12));
      squares += (shares[2] - 0.2) * (shares[2] - 0.2);
    }
    // (1/K) (1 - 1/K) / (K alpha + 1)
    CHECK(squares / 2000 == doctest::Approx(0.16 / (5 * alpha + 1)).epsilon(0.2));
  }
  CHECK(dirichlet(0.5, 1, Rng(1, Purpose::test))[0] == 1);
}

TEST_CASE("gamma: golden shares, which no machine may change") {
  const auto shares = dirichlet(0.5, 3, Rng(1, Purpose::distribution));
  CHECK(shares[0] == 0x1.03a35099b9760p-2);
  CHECK(shares[1] == 0x1.218d71d572ca6p-5);
  CHECK(shares[2] == 0x1.6c158095cc185p-1);
}
