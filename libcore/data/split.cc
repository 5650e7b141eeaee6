// SPDX-License-Identifier: MIT
#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace dl::data {

namespace {

void check(double test, double validation) {
  if (test >= 0 && validation >= 0 && test + validation < 1) return;
  fail(Exit::usage, "--test {} and --validation {}: together they must be below 1", test,
       validation);
}

std::uint64_t rounded(double fraction, std::uint64_t samples) {
  return static_cast<std::uint64_t>(std::floor(fraction * static_cast<double>(samples) + 0.5));
}

// Split draws under (four, 0), with less than 62 bits; these bits keep the others' draws apart from it.
constexpr std::uint32_t kByClass = 0x80000000, kByKey = 0x40000000;

Rng draws_of(std::uint64_t number, std::uint64_t seed, std::uint32_t kind) {
  return Rng(seed, Purpose::split, static_cast<std::uint32_t>(number),
             static_cast<std::uint32_t>(number >> 32) | kind);
}

}  // namespace

Split::Split(std::uint64_t samples, std::uint64_t seed, double test, double validation)
    : samples_(samples), seed_(seed) {
  check(test, validation);
  test_ = std::min(rounded(test, samples), samples);
  validation_ = std::min(rounded(validation, samples), samples - test_);
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

StratifiedSplit::StratifiedSplit(std::span<const std::uint64_t> class_counts, std::uint64_t seed,
                                 double test, double validation)
    : seed_(seed) {
  check(test, validation);
  for (const std::uint64_t count : class_counts) {
    Left left{count, std::min(rounded(test, count), count), 0};
    left.validation = std::min(rounded(validation, count), count - left.test);
    training_.push_back(count - left.test - left.validation);
    left_.push_back(left);
  }
}

// The validation part is drawn from what the test part leaves, with a number of its own.
Part StratifiedSplit::part_of(std::uint64_t sample, std::uint32_t code) {
  if (code >= left_.size() || left_[code].samples == 0) {
    fail(Exit::bug, "more samples of class {} than were counted", code);
  }
  Left& left = left_[code];
  Rng rng = draws_of(sample, seed_, kByClass);
  const std::uint64_t others = left.samples - left.test;
  if (left.test > 0 && rng.below(left.samples) < left.test) {
    --left.samples;
    --left.test;
    return Part::test;
  }
  --left.samples;
  Rng second = draws_of(sample, seed_, kByClass | kByKey);
  if (left.validation > 0 && second.below(others) < left.validation) {
    --left.validation;
    return Part::validation;
  }
  return Part::training;
}

KeySplit::KeySplit(std::uint64_t seed, double test, double validation)
    : seed_(seed), test_(test), validation_(validation) {
  check(test, validation);
}

Part KeySplit::part_of(std::uint64_t key) const {
  const double at = draws_of(key, seed_, kByKey).uniform_double();
  if (at < test_) return Part::test;
  return at < test_ + validation_ ? Part::validation : Part::training;
}

}  // namespace dl::data
