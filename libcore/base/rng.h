// SPDX-License-Identifier: MIT
// Randomness as a pure function of what it is for: no state that depends on who drew before.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace dl {

// What a random number is for; part of the key, so that no two uses share a sequence.
// The values are part of the promise of equal bits: never renumber.
enum class Purpose : std::uint32_t {
  initial_parameters = 1,
  epoch_order = 2,
  split = 3,         // which rows are held out
  distribution = 4,  // which row goes to which shard
  assignment = 5,
  dropout = 6,
  compression = 7,
  test = 99,
};

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC11, section 3.3).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key);

// One sequence of numbers, named by (seed, purpose, a, b). Cheap to make; 64 bits of blocks each.
class Rng {
 public:
  Rng(std::uint64_t seed, Purpose purpose, std::uint32_t a = 0, std::uint32_t b = 0);

  std::uint32_t next();                      // 32 uniform bits
  std::uint64_t next64();
  std::uint64_t below(std::uint64_t n);      // uniform in [0, n), n > 0, without modulo bias
  float uniform();                           // [0, 1), a multiple of 2^-24
  float uniform(float low, float high);      // low + (high - low) * uniform(), one fma
  double uniform_double();                   // [0, 1), a multiple of 2^-53

 private:
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;
};

// 0 .. n-1 in random order (Fisher and Yates, from the end).
std::vector<std::uint32_t> permutation(std::uint32_t n, Rng rng);

}  // namespace dl
