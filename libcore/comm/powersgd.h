// SPDX-License-Identifier: MIT
// PowerSGD (Vogels, Karimireddy, Jaggi 2019: "PowerSGD: Practical low-rank gradient compression for distributed
// optimization"): the arithmetic of its algorithm 1, over spans; comm/powersgd_sum.h runs it over a group.
//
// A weight matrix M (rows x cols) is replaced by P Q^T of rank r. One step of power iteration, begun where the last
// round ended (warm start):
//   P_g = M_g Q             of each group of shards g, summed over the groups
//   P   = orthogonalise(sum of P_g)
//   Q_g = M_g^T P           summed over the groups, and kept for the next round
//   residual_g = M_g - P Q_g^T                                           (algorithm 2: error feedback)
// Both sums are linear, so they go the way of every other sum, and their bytes do not grow with the groups.
//
// P and Q are stored by columns: r runs of `rows` floats, r runs of `cols` floats. The orders of addition are those
// of dot() and axpy() in codec_kernels.h, over i or k ascending.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/compression.h"

namespace dl::comm {

// A matrix in a vector: elements [begin, begin + rows * cols), row by row.
struct WeightMatrix {
  std::uint64_t begin = 0;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  std::uint64_t size() const { return std::uint64_t{rows} * cols; }
};

// Those whose P and Q are fewer numbers than they have themselves; all else is sent as it is.
std::vector<WeightMatrix> low_rank_matrices(std::span<const WeightMatrix> all, std::uint32_t rank);

// p = matrix q, q = matrix^T p, for every column.
void multiply(std::span<const float> matrix, std::span<const float> q, std::span<float> p, std::uint32_t rank);
void multiply_transposed(std::span<const float> matrix, std::span<const float> p, std::span<float> q,
                         std::uint32_t rank);
// out = p q^T: each element a chain of fma over the columns, from 0.
void expand(std::span<const float> p, std::span<const float> q, std::span<float> out, std::uint32_t rank);
// matrix -= p q^T, of which each element is rounded first.
void subtract(std::span<const float> p, std::span<const float> q, std::span<float> matrix, std::uint32_t rank);

// Modified Gram-Schmidt over the columns in order, each projected twice ("twice is enough": Giraud, Langou, Rozloznik
// 2005), then scaled to length 1. A column that the ones before leave less than a millionth of its length
// becomes 0: it has nothing to say.
void orthogonalise(std::span<float> p, std::uint32_t rank);

// A column of q that is all zero says nothing for ever: it is drawn anew, uniform in [-1, 1), as a pure function of
// (seed, matrix, column, round). So q may be all zero at first.
void draw_zero_columns(std::span<float> q, std::uint32_t rank, std::uint64_t seed, std::uint32_t matrix,
                       std::uint64_t round);

}  // namespace dl::comm
