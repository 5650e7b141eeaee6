// SPDX-License-Identifier: MIT
// Gamma and Dirichlet variates with the same bits on every machine.
//
// Made of +, -, *, / and square roots in double, which IEEE 754 rounds; the C library's log and exp
// differ from CPU to CPU. Relative error of both functions below 1e-15.
#pragma once

#include <cstddef>
#include <vector>

#include "base/rng.h"

namespace dl::data {

double natural_log(double x);  // x > 0, normal
double exponential(double x);  // 0 below -700; x <= 700

// The logarithm of a gamma variate of this shape (> 0) and scale 1. Marsaglia and Tsang: "A simple
// method for generating gamma variables", ACM TOMS 26(3), 2000, with their section 6 for shapes below 1;
// as a logarithm, because variates of small shapes are smaller than any double.
double log_gamma_variate(double shape, Rng& rng);

// `size` shares that add up to 1, from the symmetric Dirichlet distribution of this concentration:
// near 0 one share takes all, from about 100 on they are nearly equal.
std::vector<double> dirichlet(double alpha, std::size_t size, Rng rng);

}  // namespace dl::data
