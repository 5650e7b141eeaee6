// SPDX-License-Identifier: MIT
#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace dl::data {

Split::Split(std::uint64_t samples, std::uint64_t seed, double test, double validation)
    : samples_(samples), seed_(seed) {
  if (!(test >= 0 && validation >= 0 && test + validation < 1)) {
    fail(Exit::usage, "--test {} and --validation {}: together they must be below 1", test,
         validation);
  }
  const auto count = [samples](double fraction) {
    return static_cast<std::uint64_t>(std::floor(fraction * static_cast<double>(samples) + 0.5));
  };
  test_ = std::min(count(test), samples);
  validation_ = std::min(count(validation), samples - test_);
  if (test_ > 0) test_end_ = smallest(test_);
  validation_end_ = validation_ > 0 ? smallest(test_ + validation_) : test_end_;
}

// One block of Philox gives the keys of four samples.
Split::Key Split::key_of(std::uint64_t sample) {
  if (sample / 4 != four_) {
    four_ = sample / 4;
    Rng rng(seed_, Purpose::split, static_cast<std::uint32_t>(four_),
            static_cast<std::uint32_t>(four_ >> 32));
    for (std::uint32_t& key : keys_) key = rng.next();
  }
  return {keys_[sample % 4], sample};
}

// The key with `rank` smaller ones. A histogram over the keys' first bits tells in which bin it is;
// only that bin's keys are kept and sorted.
Split::Key Split::smallest(std::uint64_t rank) {
  if (rank >= samples_) return {UINT32_MAX, UINT64_MAX};
  constexpr unsigned kBits = 16;
  std::vector<std::uint64_t> bins(std::size_t{1} << kBits);
  for (std::uint64_t i = 0; i < samples_; ++i) ++bins[key_of(i).key >> (32 - kBits)];
  std::size_t bin = 0;
  while (rank >= bins[bin]) rank -= bins[bin++];
  std::vector<Key> keys;
  keys.reserve(bins[bin]);
  for (std::uint64_t i = 0; i < samples_; ++i) {
    const Key key = key_of(i);
    if (key.key >> (32 - kBits) == bin) keys.push_back(key);
  }
  const auto at = keys.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(keys.begin(), at, keys.end());
  return *at;
}

Part Split::part_of(std::uint64_t sample) {
  if (test_ + validation_ == 0) return Part::training;
  const Key key = key_of(sample);
  if (key < test_end_) return Part::test;
  return key < validation_end_ ? Part::validation : Part::training;
}

}  // namespace dl::data
