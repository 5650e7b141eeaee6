// SPDX-License-Identifier: MIT
#include "data/gamma.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace dl::data {

namespace {

// log 2 in two parts: the first has few bits, so that a small whole number times it is exact.
constexpr double kLog2High = 0x1.62e42fee00000p-1;
constexpr double kLog2Low = 0x1.a39ef35793c76p-33;

double power_of_two(int exponent) {  // -1022 to 1023
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

// In (0, 1): the logarithm is finite.
double uniform_above_0(Rng& rng) { return rng.uniform_double() + 0x1p-54; }

// Marsaglia's polar method ("A convenient method for generating normal variables", SIAM Review 6, 1964).
double normal_variate(Rng& rng) {
  for (;;) {
    const double x = 2 * rng.uniform_double() - 1;
    const double y = 2 * rng.uniform_double() - 1;
    const double square = x * x + y * y;
    if (square >= 1 || square < 0x1p-100) continue;
    return x * std::sqrt(-2 * natural_log(square) / square);
  }
}

}  // namespace

// x = m * 2^k with m around 1; log m = 2 artanh((m - 1) / (m + 1)), by its series.
double natural_log(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFU) | 0x3FF0000000000000U);
  if (m > 1.4142135623730951) {
    m /= 2;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1);  // |s| < 0.172
  const double square = s * s;
  double series = 0;
  for (int power = 23; power >= 3; power -= 2) series = (series + 1.0 / power) * square;
  return exponent * kLog2High + (2 * s + (2 * s * series + exponent * kLog2Low));
}

// x = k log 2 + r with |r| below 0.35; e^r by its series.
double exponential(double x) {
  if (x < -700) return 0;
  const double k = std::floor(x / (kLog2High + kLog2Low) + 0.5);
  const double r = (x - k * kLog2High) - k * kLog2Low;
  double series = 1;
  for (int term = 14; term >= 1; --term) series = 1 + series * r / term;
  return series * power_of_two(static_cast<int>(k));
}

double log_gamma_variate(double shape, Rng& rng) {
  if (shape < 1) {
    const double larger = log_gamma_variate(shape + 1, rng);
    return larger + natural_log(uniform_above_0(rng)) / shape;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal_variate(rng);
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double log_v = 3 * natural_log(root);
    const double v = root * root * root;
    const double log_u = natural_log(uniform_above_0(rng));
    if (log_u < 0.5 * x * x + d * (1 - v + log_v)) return natural_log(d) + log_v;
  }
}

std::vector<double> dirichlet(double alpha, std::size_t size, Rng rng) {
  std::vector<double> shares(size);
  for (double& share : shares) share = log_gamma_variate(alpha, rng);
  const double largest = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double& share : shares) sum += share = exponential(share - largest);
  for (double& share : shares) share /= sum;
  return shares;
}

}  // namespace dl::data
