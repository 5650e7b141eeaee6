// SPDX-License-Identifier: MIT
// Which samples are held out.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

namespace dl::data {

enum class Part : std::uint8_t { training, test, validation };

// Every sample has a random key, a pure function of the seed and its number. The test part is the
// round(fraction * samples) samples with the smallest keys, the validation part those with the next
// smallest; equal keys go by number. So the counts are exact, the test part does not depend on whether there is a validation
// part, and as a table grows nearly all of a part stays in it. Takes constant memory.
class Split {
 public:
  // Fractions are at least 0, together below 1.
  Split(std::uint64_t samples, std::uint64_t seed, double test, double validation);

  Part part_of(std::uint64_t sample);  // fast where samples are asked for in order
  std::uint64_t test() const { return test_; }
  std::uint64_t validation() const { return validation_; }
  std::uint64_t training() const { return samples_ - test_ - validation_; }

 private:
  struct Key {
    std::uint32_t key = 0;
    std::uint64_t sample = 0;
    auto operator<=>(const Key&) const = default;
  };
  Key key_of(std::uint64_t sample);
  Key smallest(std::uint64_t rank);

  std::uint64_t samples_, seed_;
  std::uint64_t test_ = 0, validation_ = 0;
  Key test_end_, validation_end_;  // the first key that is not in the part
  std::uint64_t four_ = UINT64_MAX;  // the run of four samples whose keys are:
  std::array<std::uint32_t, 4> keys_{};
};

}  // namespace dl::data
