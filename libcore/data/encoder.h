// SPDX-License-Identifier: MIT
// A row of numbers as a reader gives it becomes the features that the model sees: one implementation
// for the shards and for raw rows at prediction time.
//
// A reader's row holds the schema's columns in their order, `width` cells each: a number (NaN where it
// is missing), or for a category the number of its text in the column's dictionary (NaN where it is
// missing).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dictionary.h"
#include "data/schema.h"

namespace dl::data {

// Pure; may be used by several threads.
class Encoder {
 public:
  // `dictionaries`: by column, what its cells' numbers mean; not looked at for numbers.
  Encoder(const Schema& schema, std::span<const Dictionary> dictionaries);

  std::uint32_t features() const { return features_; }
  // Writes features() numbers; false where one of them is not finite.
  bool encode(const double* cells, float* features) const;

 private:
  struct Numbers {  // a run of them without indicators: cells [from, from + count)
    std::uint32_t from = 0, to = 0, count = 0;
  };
  struct Indicator {
    std::uint32_t from = 0, to = 0;
  };
  struct Category {
    std::uint32_t from = 0, to = 0, count = 0;
    std::vector<std::uint32_t> place;  // by number of the text; `count`: none
    std::uint32_t rest = 0, usual = 0;  // the same for all other texts and for a missing cell
  };

  std::uint32_t features_ = 0;
  std::vector<Numbers> numbers_;
  std::vector<Indicator> indicators_;
  std::vector<Category> categories_;
  std::vector<double> shifts_, scales_, fills_;  // by cell
};

}  // namespace dl::data
