// SPDX-License-Identifier: MIT
#include "linalg/functions.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/workers.h"

namespace {

namespace linalg = dl::linalg;

using Exact = long double (*)(long double);
using Vector = void (*)(const linalg::Arithmetic&, std::span<const float>, std::span<float>);

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

long double exact_sigmoid(long double x) {
  return 1 / (1 + std::exp(-x));
}
long double exact_phi(long double x) {
  return 0.5L * std::erfc(-x / std::sqrt(2.0L));
}
long double exact_gelu(long double x) {
  return x * exact_phi(x);
}
long double exact_gelu_derivative(long double x) {
  return exact_phi(x) + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0L));
}

// Every kind of float: bits at random, values where the functions bend, and the ends.
std::vector<float> all_sorts() {
  std::vector<float> values = {0.0F,      -0.0F,      1.0F,      -1.0F,      0.6F,
                               0.9F,      4.0F,       88.72F,    88.73F,     89.0F,
                               -87.336F,  -87.337F,   -104.0F,   -14.0F,     kNan,
                               kInfinity, -kInfinity, 0x1p-126F, -0x1p-126F, 0x1.fffffep127F};
  dl::Rng rng(7, dl::Purpose::test);
  for (int i = 0; i < 200000; ++i) values.push_back(std::bit_cast<float>(rng.next()));
  for (int i = 0; i < 200000; ++i) values.push_back(rng.uniform(-20.0F, 20.0F));
  for (int i = 0; i < 50000; ++i) values.push_back(rng.uniform(-1.0F, 1.0F));
  for (int i = 0; i < 50000; ++i) values.push_back(rng.uniform(-100.0F, 100.0F));
  return values;
}

// The largest error in units in the last place; infinite where a limit is missed.
double largest_ulps(Vector function, Exact exact) {
  const std::vector<float> in = all_sorts();
  std::vector<float> out(in.size());
  function(linalg::Arithmetic::defined(), in, out);
  double worst = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    // Denormals count as zero on the way in and on the way out. (Their bits are looked at: in a
    // thread that flushes them they compare equal to zero.)
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(in[i]) & 0x7fffffff;
    if (bits > 0 && bits < 0x00800000) continue;
    const long double wanted = exact(in[i]);
    if (std::isnan(in[i]) || std::isnan(wanted)) {
      CHECK(std::isnan(out[i]));
      continue;
    }
    if (std::fabs(wanted) < 0x1p-126L) {
      CHECK(std::fabs(out[i]) <= 0x1p-126F);
      continue;
    }
    if (static_cast<float>(wanted) == out[i]) continue;
    if (!std::isfinite(out[i])) return kInfinity;
    const float magnitude = std::fabs(static_cast<float>(wanted));
    const double ulp = std::nextafter(magnitude, kInfinity) - static_cast<double>(magnitude);
    worst = std::max(
        worst, static_cast<double>(std::fabs(wanted - static_cast<long double>(out[i]))) / ulp);
  }
  return worst;
}

double largest_error(Vector function, Exact exact) {
  std::vector<float> in;
  for (float x = -30.0F; x < 30.0F; x += 0.0003F) in.push_back(x);
  std::vector<float> out(in.size());
  function(linalg::Arithmetic::defined(), in, out);
  double worst = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const long double error = std::fabs(exact(in[i]) - static_cast<long double>(out[i]));
    worst = std::max(
        worst,
        static_cast<double>(error / std::max(1.0L, std::fabs(static_cast<long double>(in[i])))));
  }
  return worst;
}

const std::pair<const char*, Vector> kVectors[] = {
    {"exp", linalg::exp},
    {"log", linalg::log},
    {"tanh", linalg::tanh},
    {"erf", linalg::erf},
    {"sigmoid", linalg::sigmoid},
    {"gelu", linalg::gelu},
    {"gelu'", linalg::gelu_derivative},
};

}  // namespace

TEST_CASE("functions: errors are what the header says") {
  dl::flush_denormals();
  CHECK(largest_ulps(linalg::exp, [](long double x) { return std::exp(x); }) <= 1.0);
  CHECK(largest_ulps(linalg::log, [](long double x) { return std::log(x); }) <= 1.0);
  CHECK(largest_ulps(linalg::tanh, [](long double x) { return std::tanh(x); }) <= 1.4);
  CHECK(largest_ulps(linalg::erf, [](long double x) { return std::erf(x); }) <= 1.2);
  CHECK(largest_ulps(linalg::sigmoid, exact_sigmoid) <= 2.5);
  CHECK(largest_error(linalg::gelu, exact_gelu) <= 1.2e-7);
  CHECK(largest_error(linalg::gelu_derivative, exact_gelu_derivative) <= 2e-7);
}

TEST_CASE("functions: every kernel and the scalar form give the same bits") {
  dl::flush_denormals();
  const std::vector<float> in = all_sorts();
  for (const auto& [name, function] : kVectors) {
    CAPTURE(std::string(name));
    std::vector<float> wanted(in.size());
    function(linalg::Arithmetic::defined(linalg::Kernel::scalar), in, wanted);
    for (const linalg::Kernel kernel : linalg::available_kernels()) {
      std::vector<float> out(in.size());
      function(linalg::Arithmetic::defined(kernel), in, out);
      std::size_t different = 0;
      for (std::size_t i = 0; i < in.size(); ++i) {
        if (std::bit_cast<std::uint32_t>(out[i]) == std::bit_cast<std::uint32_t>(wanted[i]))
          continue;
        if (different++ == 0) MESSAGE(in[i] << ": " << out[i] << " instead of " << wanted[i]);
      }
      CHECK(different == 0);
    }
  }
  for (const float x : {-3.0F, -0.25F, 0.5F, 7.0F}) {
    float y = 0.0F;
    linalg::gelu(linalg::Arithmetic::defined(), {&x, 1}, {&y, 1});
    CHECK(linalg::gelu(x) == y);
  }
}

TEST_CASE("functions: the ends of the line") {
  dl::flush_denormals();
  CHECK(linalg::exp(kInfinity) == kInfinity);
  CHECK(linalg::exp(-kInfinity) == 0.0F);
  CHECK(linalg::exp(-0.0F) == 1.0F);
  CHECK(linalg::log(0.0F) == -kInfinity);
  CHECK(linalg::log(-0.0F) == -kInfinity);
  CHECK(linalg::log(kInfinity) == kInfinity);
  CHECK(std::isnan(linalg::log(-1.0F)));
  CHECK(linalg::log(1.0F) == 0.0F);
  CHECK(linalg::tanh(kInfinity) == 1.0F);
  CHECK(linalg::tanh(-kInfinity) == -1.0F);
  CHECK(std::signbit(linalg::tanh(-0.0F)));
  CHECK(linalg::erf(-kInfinity) == -1.0F);
  CHECK(std::signbit(linalg::erf(-0.0F)));
  CHECK(linalg::sigmoid(kInfinity) == 1.0F);
  CHECK(linalg::sigmoid(-kInfinity) == 0.0F);
  CHECK(linalg::gelu(kInfinity) == kInfinity);
  CHECK(linalg::gelu(-kInfinity) == 0.0F);
  CHECK(std::signbit(linalg::gelu(-kInfinity)));
  CHECK(std::signbit(linalg::gelu(-0.0F)));
  CHECK(linalg::gelu_derivative(kInfinity) == 1.0F);
  CHECK(linalg::gelu_derivative(-kInfinity) == 0.0F);
  for (float (*function)(float) : std::initializer_list<float (*)(float)>{
           linalg::exp, linalg::log, linalg::tanh, linalg::erf, linalg::sigmoid, linalg::gelu,
           linalg::gelu_derivative}) {
    CHECK(std::isnan(function(kNan)));
  }
}
