// SPDX-License-Identifier: MIT
// The keys of `dl-shard --by hash`: what holds a sample together with others, as one whole number.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dl::data {

// A key is the first 53 bits of a SHA-256, so that a double holds it exactly, and the same for ever:
//   a text that is a number below 2^53 (parse_number)  of 'n' and its 8 bytes as a double, so that "1",
//                                 " 1.0" and "1e0" are one key, and "-0" is "0"
//   any other text                of 't' and its bytes, blanks around it aside
//   a whole row                   of 'r' and the 8 bytes of a double for each cell: the number, or a
//                                 text's key, or a NaN (7ff8000000000000) where it is missing
// The bytes of a double are in little-endian order.
//
// Whole numbers from 2^53 on are texts, because a double cannot tell them apart: ids of 17 digits stay
// different.
std::uint64_t key_of(std::string_view text);
// The same key as that of the number's text; only below kLargestKeyNumber.
std::uint64_t key_of(double number);
std::uint64_t key_of_row(std::span<const double> numbers);
inline constexpr double kLargestKeyNumber = 0x1p53;

// key_of(text) for the texts of a column: those seen lately are remembered (a key's rows often stand
// together, or there are few keys), which takes 1.3 MiB, and more where they are long.
class Keys {
 public:
  Keys();
  std::uint64_t operator()(std::string_view text);

 private:
  struct Known {
    std::string text;
    std::uint64_t key = 0;
  };
  std::vector<Known> known_;  // by a few bits of the text's hash
};

}  // namespace dl::data
