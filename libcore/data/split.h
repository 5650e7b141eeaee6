// SPDX-License-Identifier: MIT
// Which samples are held out.
#pragma once

#include <cstdint>

namespace dl::data {

enum class Part : std::uint8_t { training, test, validation };

// Every sample has a random key, a pure function of the seed and its number. The test part is the
// round(fraction * samples) samples with the smallest keys, the validation part those with the next
// smallest. So the counts are exact, the test part does not depend on whether there is a validation
// part, and as a table grows nearly all of a part stays in it. Takes constant memory.
class Split {
 public:
  // Fractions are at least 0, together below 1.
  Split(std::uint64_t samples, std::uint64_t seed, double test, double validation);

  Part part_of(std::uint64_t sample) const;
  std::uint64_t test() const { return test_; }
  std::uint64_t validation() const { return validation_; }
  std::uint64_t training() const { return samples_ - test_ - validation_; }

 private:
  struct Key {
    std::uint64_t key = 0;
    std::uint64_t sample = 0;
    auto operator<=>(const Key&) const = default;
  };
  Key key_of(std::uint64_t sample) const;
  Key smallest(std::uint64_t rank) const;

  std::uint64_t samples_, seed_;
  std::uint64_t test_ = 0, validation_ = 0;
  Key test_end_, validation_end_;  // the first key that is not in the part
};

}  // namespace dl::data
