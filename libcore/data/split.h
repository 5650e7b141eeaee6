// SPDX-License-Identifier: MIT
// Which samples are held out.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <vector>

namespace dl::data {

enum class Part : std::uint8_t { training, test, validation };

// Fractions are at least 0, together below 1 (64 otherwise), in all of these. None lets the test part
// depend on whether there is a validation part.

// Every sample has a random key, a pure function of the seed and its number. The test part is the
// round(fraction * samples) samples with the smallest keys, the validation part those with the next
// smallest; equal keys go by number. So the counts are exact, and as a table grows nearly all of a part
// stays in it. Takes constant memory.
class Split {
 public:
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

// Holds out round(fraction * count) samples of each class: selection sampling (Knuth: The Art of Computer
// Programming 3.4.2, algorithm S), so that all choices are as likely, with three counters for each class.
// Which samples depends on the classes of those before them, so they are asked for in order.
class StratifiedSplit {
 public:
  StratifiedSplit(std::span<const std::uint64_t> class_counts, std::uint64_t seed, double test,
                  double validation);

  Part part_of(std::uint64_t sample, std::uint32_t code);  // `sample` names the randomness only
  const std::vector<std::uint64_t>& training() const { return training_; }  // of each class

 private:
  struct Left {
    std::uint64_t samples = 0, test = 0, validation = 0;
  };
  std::uint64_t seed_;
  std::vector<Left> left_;  // of each class
  std::vector<std::uint64_t> training_;
};

// Holds out these fractions of all keys that there can be: a pure function of seed and key (below 2^53),
// so that samples of one key are in one part, also when the table grows.
class KeySplit {
 public:
  KeySplit(std::uint64_t seed, double test, double validation);
  Part part_of(std::uint64_t key) const;

 private:
  std::uint64_t seed_;
  double test_, validation_;
};

}  // namespace dl::data
