// SPDX-License-Identifier: MIT
// Decimal text to double, correctly rounded; the hot spot of reading tables.
#pragma once

#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dl::data {

inline constexpr std::array<double, 23> kPowersOfTen = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

enum class Scan { number, word, too_large };

// Reads the number that starts at `text` (no blanks; one '+' is allowed) and moves `text` behind it.
// The buffer must have a byte that belongs to no number at `end`, and kBehindNumbers bytes that may be
// read from there on. Values beyond the float32 range are too_large, those below a double's are 0. "nan"
// and "inf" are words.
Scan scan_number_slow(const char*& text, const char* end, double& value);
inline constexpr std::size_t kBehindNumbers = 8;

// Eight characters at once, the first one in the lowest byte; a digit is a byte from 0 to 9.
static_assert(std::endian::native == std::endian::little);
inline std::uint64_t eight_digits(const char* text) {
  std::uint64_t word = 0;
  std::memcpy(&word, text, sizeof word);
  return word ^ 0x3030303030303030U;
}

// How many digits the word begins with. Adding 0x76 sets the high bit of a byte above 9; a carry can
// only change bytes behind the first such byte.
inline unsigned count_digits(std::uint64_t word) {
  const std::uint64_t others = (word | (word + 0x7676767676767676U)) & 0x8080808080808080U;
  return static_cast<unsigned>(std::countr_zero(others)) / 8;
}

// Adds the first kCount digits of the word, 1 to 7, behind those of `mantissa`. The digits move to the
// end of the word, behind zeros; neighbours are joined to pairs, then the four pairs weighted and summed.
template <unsigned kCount>
inline void take_digits(std::uint64_t word, std::uint64_t& mantissa, const char*& at) {
  word <<= 64 - 8 * kCount;
  word = word * 10 + (word >> 8);
  constexpr std::uint64_t kPairs = 0x000000FF000000FFU;
  const std::uint64_t low = (word & kPairs) * (100 + (std::uint64_t{1000000} << 32));
  const std::uint64_t high = ((word >> 16) & kPairs) * (1 + (std::uint64_t{10000} << 32));
  mantissa = mantissa * static_cast<std::uint64_t>(kPowersOfTen[kCount]) + ((low + high) >> 32);
  at += kCount;
}

inline void take_each_digit(std::uint64_t& mantissa, const char*& at) {
  unsigned digit;
  while ((digit = static_cast<unsigned>(static_cast<unsigned char>(*at)) - '0') < 10) {
    mantissa = mantissa * 10 + digit;
    ++at;
  }
}

// Up to 15 digits and a small power of ten are exact in a double, so that one division is correctly
// rounded (Clinger: "How to read floating point numbers accurately", PLDI 1990, section 3); all else
// goes the slow way. Signs are random and so not branched on; the number of digits behind the point
// mostly repeats, so that the processor goes on to the next cell before they are added up.
inline Scan scan_number(const char*& text, const char* end, double& value) {
  const char* at = text;
  const bool negative = *at == '-';
  at += negative;
  const char* const digits = at;
  std::uint64_t mantissa = 0;
  take_each_digit(mantissa, at);
  std::ptrdiff_t count = at - digits;
  std::ptrdiff_t fraction = 0;
  if (*at == '.') {
    const char* const point = ++at;
    const std::uint64_t word = eight_digits(at);
    switch (count_digits(word)) {
      case 1: take_digits<1>(word, mantissa, at); break;
      case 2: take_digits<2>(word, mantissa, at); break;
      case 3: take_digits<3>(word, mantissa, at); break;
      case 4: take_digits<4>(word, mantissa, at); break;
      case 5: take_digits<5>(word, mantissa, at); break;
      case 6: take_digits<6>(word, mantissa, at); break;
      case 7: take_digits<7>(word, mantissa, at); break;
      default: take_each_digit(mantissa, at);
    }
    fraction = at - point;
    count += fraction;
  }
  if (count == 0 || count > 15 || (*at | 0x20) == 'e') [[unlikely]] {
    return scan_number_slow(text, end, value);
  }
  auto number = static_cast<double>(static_cast<std::int64_t>(mantissa));
  if (fraction != 0) number /= kPowersOfTen[static_cast<std::size_t>(fraction)];
  value = std::bit_cast<double>(std::bit_cast<std::uint64_t>(number) | std::uint64_t{negative} << 63);
  text = at;
  return Scan::number;
}

}  // namespace dl::data
