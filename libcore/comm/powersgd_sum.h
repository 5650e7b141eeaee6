// SPDX-License-Identifier: MIT
// Sums of which the weight matrices travel as P and Q. Internal to comm; compressed.h and powersgd.h say what for.
#pragma once

#include <memory>
#include <vector>

#include "comm/before.h"
#include "comm/compressed.h"
#include "comm/memory.h"
#include "comm/powersgd.h"
#include "comm/tree_sum.h"

namespace dl::comm {

// The inner vector: what is sent as it is, in the order of the vector; P of each matrix (bucket 0); Q of each (bucket 1).
class PowerSgdSum final : public Before {
 public:
  PowerSgdSum(const SumPlan& plan, const Compression& compression, CompressionState state, std::uint64_t round,
              const Connect& connect);

  std::span<float> part(std::size_t i) override { return vectors_[i]; }
  std::span<const float> result() const override { return vectors_[state_.groups.size()]; }
  void start(std::size_t bucket) override;
  void wait(std::size_t bucket) override;

 private:
  struct Place {             // of a matrix, in the inner vector and in the basis
    std::uint64_t p = 0, q = 0, basis = 0;
  };
  struct Part {              // a run of own groups that the inner plan adds as one
    std::size_t first = 0, count = 0;
    TreeSum sum;
  };

  SumPlan inner_plan(const SumPlan& plan) const;
  void lay_out(const SumPlan& plan);
  void first_sum();
  void second_sum();
  void add_parts(std::uint64_t begin, std::uint64_t end);
  std::span<float> p_of(std::span<float> inner, std::size_t matrix) const;
  std::span<float> q_of(std::span<float> inner, std::size_t matrix) const;
  std::span<float> q_of_basis(std::size_t matrix) const;

  const std::uint64_t seed_;
  const std::uint32_t low_;                   // the rank of P and Q
  const std::vector<WeightMatrix> matrices_;  // those that are compressed
  std::vector<SumPlan::Bucket> plain_;        // ranges that are not
  std::vector<Place> places_;
  std::uint64_t p_end_ = 0, q_end_ = 0;       // of the inner vector's buckets
  const CompressionState state_;
  const std::size_t buckets_;
  const Vectors vectors_;                     // own groups, then the result
  std::vector<Part> parts_;
  std::unique_ptr<Vectors> sums_;             // by own group: its inner vector
  std::uint64_t round_;
  bool open_ = false;                         // started, and result() is not there yet
};

}  // namespace dl::comm
