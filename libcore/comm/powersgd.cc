// SPDX-License-Identifier: MIT
#include "comm/powersgd.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "comm/codec_kernels.h"

namespace dl::comm {

namespace {

// The runs of a matrix stored by columns, or the rows of one stored by rows.
template <typename T>
std::span<T> run(std::span<T> all, std::size_t count, std::size_t i) {
  const std::size_t length = all.size() / count;
  return all.subspan(i * length, length);
}

constexpr float kNothing = 1e-6F;  // of its length: what is left of a column that the ones before span

}  // namespace

std::vector<WeightMatrix> low_rank_matrices(std::span<const WeightMatrix> all, std::uint32_t rank) {
  std::vector<WeightMatrix> out;
  std::ranges::copy_if(all, std::back_inserter(out), [&](const WeightMatrix& m) {
    return rank * (std::uint64_t{m.rows} + m.cols) < m.size();
  });
  return out;
}

void multiply(std::span<const float> matrix, std::span<const float> q, std::span<float> p, std::uint32_t rank) {
  const CodecKernels& kernels = best_codec_kernels();
  const std::size_t rows = p.size() / rank, cols = q.size() / rank;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::uint32_t k = 0; k < rank; ++k) {
      p[k * rows + i] = kernels.dot(&matrix[i * cols], &q[k * cols], cols);
    }
  }
}

void multiply_transposed(std::span<const float> matrix, std::span<const float> p, std::span<float> q,
                         std::uint32_t rank) {
  const CodecKernels& kernels = best_codec_kernels();
  const std::size_t rows = p.size() / rank, cols = q.size() / rank;
  std::ranges::fill(q, 0.0F);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::uint32_t k = 0; k < rank; ++k) kernels.axpy(p[k * rows + i], &matrix[i * cols], &q[k * cols], cols);
  }
}

void expand(std::span<const float> p, std::span<const float> q, std::span<float> out, std::uint32_t rank) {
  const CodecKernels& kernels = best_codec_kernels();
  const std::size_t rows = p.size() / rank, cols = q.size() / rank;
  std::ranges::fill(out, 0.0F);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::uint32_t k = 0; k < rank; ++k) kernels.axpy(p[k * rows + i], &q[k * cols], &out[i * cols], cols);
  }
}

void subtract(std::span<const float> p, std::span<const float> q, std::span<float> matrix, std::uint32_t rank) {
  const CodecKernels& kernels = best_codec_kernels();
  const std::size_t rows = p.size() / rank, cols = q.size() / rank;
  std::vector<float> row(cols);
  for (std::size_t i = 0; i < rows; ++i) {
    std::ranges::fill(row, 0.0F);
    for (std::uint32_t k = 0; k < rank; ++k) kernels.axpy(p[k * rows + i], &q[k * cols], row.data(), cols);
    kernels.axpy(-1.0F, row.data(), &matrix[i * cols], cols);
  }
}

void orthogonalise(std::span<float> p, std::uint32_t rank) {
  const CodecKernels& kernels = best_codec_kernels();
  for (std::uint32_t k = 0; k < rank; ++k) {
    const std::span<float> column = run(p, rank, k);
    const auto length = [&] { return std::sqrt(kernels.dot(column.data(), column.data(), column.size())); };
    const float before = length();
    for (int pass = 0; pass < 2; ++pass) {
      for (std::uint32_t j = 0; j < k; ++j) {
        const std::span<float> other = run(p, rank, j);
        const float along = kernels.dot(other.data(), column.data(), column.size());
        kernels.axpy(-along, other.data(), column.data(), column.size());
      }
    }
    const float left = length();
    const float scale = left > kNothing * before ? 1.0F / left : 0.0F;
    for (float& x : column) x *= scale;
  }
}

void draw_zero_columns(std::span<float> q, std::uint32_t rank, std::uint64_t seed, std::uint32_t matrix,
                       std::uint64_t round) {
  for (std::uint32_t k = 0; k < rank; ++k) {
    const std::span<float> column = run(q, rank, k);
    if (std::ranges::any_of(column, [](float x) { return x != 0; })) continue;
    Rng rng(seed, Purpose::compression, matrix * 64 + k, static_cast<std::uint32_t>(round));
    for (float& x : column) x = rng.uniform(-1.0F, 1.0F);
  }
}

}  // namespace dl::comm
