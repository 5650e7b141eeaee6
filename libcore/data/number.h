// SPDX-License-Identifier: MIT
// Decimal text to double, correctly rounded; the hot spot of reading tables.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>

namespace dl::data {

inline constexpr std::array<double, 23> kPowersOfTen = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

enum class Scan { number, word, too_large };

// Reads the number that starts at `text` (no blanks; one '+' is allowed) and moves `text` behind it.
// The buffer must end with a byte that belongs to no number, at `end`. Values beyond the float32 range
// are too_large, those below a double's are 0. "nan" and "inf" are words.
Scan scan_number_slow(const char*& text, const char* end, double& value);

// Up to 15 digits and a small power of ten are exact in a double, so that one division is correctly
// rounded (Clinger: "How to read floating point numbers accurately", PLDI 1990, section 3); all else
// goes the slow way.
inline Scan scan_number(const char*& text, const char* end, double& value) {
  const char* at = text;
  const bool negative = *at == '-';
  if (negative) ++at;
  const char* const digits = at;
  std::uint64_t mantissa = 0;
  unsigned digit;
  while ((digit = static_cast<unsigned>(static_cast<unsigned char>(*at)) - '0') < 10) {
    mantissa = mantissa * 10 + digit;
    ++at;
  }
  std::ptrdiff_t count = at - digits;
  std::ptrdiff_t fraction = 0;
  if (*at == '.') {
    const char* const point = ++at;
    while ((digit = static_cast<unsigned>(static_cast<unsigned char>(*at)) - '0') < 10) {
      mantissa = mantissa * 10 + digit;
      ++at;
    }
    fraction = at - point;
    count += fraction;
  }
  if (count == 0 || count > 15 || (*at | 0x20) == 'e') [[unlikely]] {
    return scan_number_slow(text, end, value);
  }
  auto number = static_cast<double>(static_cast<std::int64_t>(mantissa));
  if (fraction != 0) number /= kPowersOfTen[static_cast<std::size_t>(fraction)];
  value = negative ? -number : number;
  text = at;
  return Scan::number;
}

}  // namespace dl::data
