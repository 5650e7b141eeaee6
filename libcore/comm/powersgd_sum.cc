// SPDX-License-Identifier: MIT
#include "comm/powersgd_sum.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "comm/codec_kernels.h"

namespace dl::comm {

PowerSgdSum::PowerSgdSum(const SumPlan& plan, const Compression& compression, CompressionState state,
                         std::uint64_t round, const Connect& connect)
    : seed_(compression.settings.seed),
      low_(compression.settings.spec.rank),
      matrices_(low_rank_matrices(compression.matrices, low_)),
      state_(std::move(state)),
      buckets_(plan.buckets.size()),
      vectors_(state_.groups.size() + 1, plan.size()),
      round_(round) {
  lay_out(plan);
  sums_ = std::make_unique<Vectors>(state_.groups.size(), q_end_);
  const SumPlan inner = inner_plan(plan);
  inner_ = connect(inner);
  const auto& own = plan.parts_of_rank.at(rank());
  if (own.size() != state_.groups.size() || state_.basis.size() != basis_size(compression)) {
    fail(Exit::bug, "{} groups have the error feedback of {}, and a basis of {}", own.size(), state_.groups.size(),
         state_.basis.size());
  }
  std::size_t first = 0;
  for (const ShardRange part : inner.parts_of_rank[rank()]) {
    std::vector<ShardRange> leaves;
    for (std::uint32_t g = 0; g < part.size(); ++g) leaves.push_back({g, g + 1});
    parts_.push_back({first, part.size(), TreeSum(part.size(), leaves)});
    first += part.size();
  }
}

void PowerSgdSum::lay_out(const SumPlan& plan) {
  std::uint64_t at = 0;
  for (const WeightMatrix& matrix : matrices_) {
    if (matrix.begin > at) plain_.push_back({at, matrix.begin});
    at = matrix.begin + matrix.size();
  }
  if (plan.size() > at) plain_.push_back({at, plan.size()});
  for (const auto& [begin, end] : plain_) p_end_ += end - begin;
  std::uint64_t basis = 0;
  for (const WeightMatrix& matrix : matrices_) {
    places_.push_back({.p = p_end_, .q = 0, .basis = basis});
    p_end_ += std::uint64_t{low_} * matrix.rows;
    basis += std::uint64_t{low_} * matrix.cols;
  }
  for (Place& place : places_) place.q = p_end_ + place.basis;
  q_end_ = p_end_ + basis;
}

SumPlan PowerSgdSum::inner_plan(const SumPlan& plan) const {
  SumPlan inner = plan;
  inner.buckets = {{0, p_end_}, {p_end_, q_end_}};
  for (auto& parts : inner.parts_of_rank) {
    std::vector<std::uint32_t> held;
    for (const ShardRange part : parts) held.push_back(part.begin);
    parts = maximal_subtrees(plan.shards, held);
  }
  return inner;
}

std::span<float> PowerSgdSum::p_of(std::span<float> inner, std::size_t matrix) const {
  return inner.subspan(places_[matrix].p, std::uint64_t{low_} * matrices_[matrix].rows);
}

std::span<float> PowerSgdSum::q_of(std::span<float> inner, std::size_t matrix) const {
  return inner.subspan(places_[matrix].q, std::uint64_t{low_} * matrices_[matrix].cols);
}

std::span<float> PowerSgdSum::q_of_basis(std::size_t matrix) const {
  return state_.basis.subspan(places_[matrix].basis, std::uint64_t{low_} * matrices_[matrix].cols);
}

// The own groups' inner vectors, added up to what the inner plan calls this rank's parts.
void PowerSgdSum::add_parts(std::uint64_t begin, std::uint64_t end) {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    std::vector<const float*> operands;
    for (std::size_t g = 0; g < parts_[i].count; ++g) operands.push_back((*sums_)[parts_[i].first + g].data() + begin);
    parts_[i].sum.add(operands, inner_->part(i).data() + begin, end - begin);
  }
}

void PowerSgdSum::first_sum() {
  const CodecKernels& kernels = best_codec_kernels();
  for (std::size_t m = 0; m < matrices_.size(); ++m) {
    draw_zero_columns(q_of_basis(m), low_, seed_, static_cast<std::uint32_t>(m), round_);
  }
  for (std::size_t g = 0; g < state_.groups.size(); ++g) {
    const std::span<float> inner = (*sums_)[g];
    auto plain = inner.begin();
    for (const auto& [begin, end] : plain_) {
      plain = std::ranges::copy(vectors_[g].subspan(begin, end - begin), plain).out;
    }
    for (std::size_t m = 0; m < matrices_.size(); ++m) {
      const auto [begin, rows, cols] = matrices_[m];
      const std::span<float> matrix = state_.groups[g].residual.subspan(begin, matrices_[m].size());
      kernels.add(&vectors_[g][begin], matrix.data(), matrix.size());
      multiply(matrix, q_of_basis(m), p_of(inner, m), low_);
    }
  }
  add_parts(0, p_end_);
  inner_->start(0);
}

void PowerSgdSum::second_sum() {
  std::vector<std::vector<float>> directions;
  for (std::size_t m = 0; m < matrices_.size(); ++m) {
    const std::size_t size = std::uint64_t{low_} * matrices_[m].rows;
    const auto sum = inner_->result().subspan(places_[m].p, size);
    orthogonalise(directions.emplace_back(sum.begin(), sum.end()), low_);
  }
  for (std::size_t g = 0; g < state_.groups.size(); ++g) {
    for (std::size_t m = 0; m < matrices_.size(); ++m) {
      const std::span<float> matrix = state_.groups[g].residual.subspan(matrices_[m].begin, matrices_[m].size());
      const std::span<float> q = q_of((*sums_)[g], m);
      multiply_transposed(matrix, directions[m], q, low_);
      subtract(directions[m], q, matrix, low_);
    }
  }
  add_parts(p_end_, q_end_);
  inner_->start(1);
  inner_->wait(1);
  const std::span<float> out = vectors_[state_.groups.size()];
  auto plain = inner_->result().begin();
  for (const auto& [begin, end] : plain_) {
    const auto count = static_cast<std::ptrdiff_t>(end - begin);
    std::copy_n(plain, count, out.begin() + static_cast<std::ptrdiff_t>(begin));
    plain += count;
  }
  for (std::size_t m = 0; m < matrices_.size(); ++m) {
    const auto sum = inner_->result().subspan(places_[m].q, std::uint64_t{low_} * matrices_[m].cols);
    std::ranges::copy(sum, q_of_basis(m).begin());
    expand(directions[m], sum, out.subspan(matrices_[m].begin, matrices_[m].size()), low_);
  }
}

void PowerSgdSum::start(std::size_t bucket) {
  if (bucket + 1 < buckets_) return;  // P wants whole matrices
  first_sum();
  open_ = true;
}

void PowerSgdSum::wait(std::size_t) {
  if (!open_) return;
  inner_->wait(0);
  const std::span<const float> sum = inner_->result().first(p_end_);
  if (!std::ranges::all_of(sum, [](float x) { return std::isfinite(x); })) {
    fail(Exit::data, "the sums of step {} are not finite: nothing of that step is kept; a smaller --lr or --clip may help",
         round_ + 1);
  }
  second_sum();
  ++round_;
  open_ = false;
}

}  // namespace dl::comm
