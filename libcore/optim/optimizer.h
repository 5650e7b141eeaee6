// SPDX-License-Identifier: MIT
// Optimizers as pure functions over spans: parameters, one gradient, and their slots.
//
// With s the gradient scale (1 / the batch's weight, times the clipping factor), d the weight decay,
// fma and every other operation rounded to float32 as written:
//   g = s * gradient;  sgd, momentum, nesterov, adam: g = fma(d, w, g) where d > 0
//   sgd:       w = fma(-lr, g, w)
//   momentum:  m = fma(mu, m, g);  w = fma(-lr, m, w)                       (Polyak 1964)
//   nesterov:  m = fma(mu, m, g);  w = fma(-lr, fma(mu, m, g), w)           (Sutskever et al. 2013)
//   adam:      m = fma(b1, m, (1-b1)*g);  v = fma(b2, v, ((1-b2)*g)*g)      (Kingma and Ba 2015, alg. 1)
//              w = fma(-a, m / (sqrt(v) * c + eps), w)
//              with a = lr / (1 - b1^t) and c = 1 / sqrt(1 - b2^t), both computed in double
//   adamw:     w = fma(-(lr*d), w, w) first, then as adam without d in g    (Loshchilov and Hutter 2019)
// No result depends on how a span is cut into ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dl::optim {

enum class Kind { sgd, momentum, nesterov, adam, adamw };

struct OptimizerSpec {
  Kind kind = Kind::sgd;
  float momentum = 0.9F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float weight_decay = 0.0F;
  float clip_norm = 0.0F;  // 0: no clipping
};

Kind parse_kind(std::string_view name);  // 64 where there is none of that name
std::string_view name_of(Kind kind);
// "momentum"; "m" and "v"; none. Each slot is a vector as long as the parameters, 0 at first.
std::vector<std::string> slot_names(Kind kind);

struct StepFactors {
  std::uint64_t step = 1;  // the update's number, from 1
  float lr = 0.0F;
  float gradient_scale = 1.0F;
};

// Updates the given range; slots[i] is that range of slot i. All spans have one length.
void update(const OptimizerSpec& spec, const StepFactors& factors, std::span<float> parameters,
            std::span<const float> gradient, std::span<const std::span<float>> slots);

// The sum of squares in double: over blocks of 4096 elements in index order, each block in a fixed
// order of its own; for the clipping norm.
double sum_of_squares(std::span<const float> gradient);

// Whether none of them is infinite or not a number.
bool all_finite(std::span<const float> values);

// gradient_scale for a gradient sum whose squares add up to `squares`: 1/weight, times
// clip / norm where the norm of gradient/weight is above `clip` (0: never). 0 where nothing weighs
// anything: such a batch has no gradient.
float gradient_scale(double weight, double squares, float clip);

}  // namespace dl::optim
