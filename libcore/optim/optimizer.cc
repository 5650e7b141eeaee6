// SPDX-License-Identifier: MIT
#include "optim/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "optim/kernels.h"
#include "optim/power.h"

namespace dl::optim {

namespace {

constexpr std::array<std::pair<Kind, std::string_view>, 5> kNames = {{
    {Kind::sgd, "sgd"},
    {Kind::momentum, "momentum"},
    {Kind::nesterov, "nesterov"},
    {Kind::adam, "adam"},
    {Kind::adamw, "adamw"},
}};

}  // namespace

Kind parse_kind(std::string_view name) {
  for (const auto& [kind, known] : kNames) {
    if (known == name) return kind;
  }
  fail(Exit::usage, "{} is not an optimizer; sgd, momentum, nesterov, adam and adamw are",
       shown(name));
}

std::string_view name_of(Kind kind) {
  for (const auto& [known, name] : kNames) {
    if (known == kind) return name;
  }
  fail(Exit::bug, "no optimizer has number {}", static_cast<int>(kind));
}

std::vector<std::string> slot_names(Kind kind) {
  switch (kind) {
    case Kind::sgd: return {};
    case Kind::momentum:
    case Kind::nesterov: return {"momentum"};
    case Kind::adam:
    case Kind::adamw: return {"m", "v"};
  }
  fail(Exit::bug, "no optimizer has number {}", static_cast<int>(kind));
}

UpdateConstants constants_of(const OptimizerSpec& spec, const StepFactors& factors) {
  const double missing1 = 1.0 - power(spec.beta1, factors.step);
  const double missing2 = 1.0 - power(spec.beta2, factors.step);
  return {.kind = spec.kind,
          .lr = factors.lr,
          .scale = factors.gradient_scale,
          .decay = spec.weight_decay,
          .momentum = spec.momentum,
          .beta1 = spec.beta1,
          .beta2 = spec.beta2,
          .rest1 = 1.0F - spec.beta1,
          .rest2 = 1.0F - spec.beta2,
          .epsilon = spec.epsilon,
          .a = static_cast<float>(static_cast<double>(factors.lr) / missing1),
          .c = static_cast<float>(1.0 / std::sqrt(missing2)),
          .shrink = factors.lr * spec.weight_decay};
}

const Kernels& best_kernels() {
  static const Kernels& best =
      __builtin_cpu_supports("avx512f") != 0 ? avx512_kernels()
      : __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0
          ? avx2_kernels()
          : baseline_kernels();
  return best;
}

void update(const OptimizerSpec& spec, const StepFactors& factors, std::span<float> parameters,
            std::span<const float> gradient, std::span<const std::span<float>> slots) {
  const std::size_t size = parameters.size();
  const std::size_t wanted = slot_names(spec.kind).size();
  bool fits = gradient.size() == size && slots.size() == wanted;
  for (const std::span<float> slot : slots) fits = fits && slot.size() == size;
  if (!fits) {
    fail(Exit::bug, "{}: {} parameters, {} gradient elements and {} slots do not go together",
         name_of(spec.kind), size, gradient.size(), slots.size());
  }
  best_kernels().update(constants_of(spec, factors), parameters.data(), gradient.data(),
                        wanted > 0 ? slots[0].data() : nullptr,
                        wanted > 1 ? slots[1].data() : nullptr, size);
}

double sum_of_squares(std::span<const float> gradient) {
  const Kernels& kernels = best_kernels();
  double sum = 0;
  for (std::size_t at = 0; at < gradient.size(); at += kSquaresBlock) {
    sum += kernels.squares(gradient.data() + at, std::min(kSquaresBlock, gradient.size() - at));
  }
  return sum;
}

bool all_finite(std::span<const float> values) { return best_kernels().finite(values.data(), values.size()); }

float gradient_scale(double weight, double squares, float clip) {
  if (!(weight > 0)) return 0.0F;
  const double norm = std::sqrt(squares) / weight;
  const double scale = 1.0 / weight;
  return static_cast<float>(clip > 0 && norm > clip ? scale * (clip / norm) : scale);
}

}  // namespace dl::optim
