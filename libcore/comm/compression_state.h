// SPDX-License-Identifier: MIT
// What compressed sums remember between rounds. No sockets here.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/codec.h"
#include "comm/powersgd.h"

namespace dl::comm {

// Of a run; the same on every rank.
struct Compression {
  CodecSettings settings;              // any scheme but none
  std::vector<WeightMatrix> matrices;  // powersgd: the weights in the vector, ascending
};

// For each group a residual, a velocity where has_velocity(), each as long as the vector; and once for all groups
// basis_size() numbers. All zero at first.
bool has_velocity(const Compression& compression);
std::uint64_t basis_size(const Compression& compression);

// Where this rank's share of it lies; written while a round runs.
struct CompressionState {
  std::vector<Feedback> groups;  // of each group of this rank, in the order of its parts
  std::span<float> basis;        // powersgd: the same numbers on every rank
};

}  // namespace dl::comm
