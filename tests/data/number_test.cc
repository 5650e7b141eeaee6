// SPDX-License-Identifier: MIT
#include "data/number.h"

#include <doctest/doctest.h>

#include <bit>
#include <cfloat>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/rng.h"
#include "data/fixtures.h"
#include "data/schema.h"

using namespace dl;
using namespace dl::data;

namespace {

// A number now and then rather odd, then bytes that may or may not go on with it.
std::string random_text(Rng& rng) {
  std::string text = rng.below(2) == 0 ? "-" : "";
  const auto add_digits = [&](std::uint64_t count) {
    for (std::uint64_t digits = rng.next64(); count > 0; --count, digits /= 10) {
      text += static_cast<char>('0' + digits % 10);
    }
  };
  add_digits(rng.below(rng.below(8) == 0 ? 18 : 6));
  if (rng.below(4) != 0) {
    text += '.';
    add_digits(rng.below(rng.below(4) == 0 ? 18 : 8));
  }
  if (rng.below(16) == 0) text += fmt::format("e{}", static_cast<int>(rng.below(60)) - 30);
  constexpr std::string_view kNext = ",\n\r \t;/:.-+eE\xb0\xff";
  text += kNext[rng.below(kNext.size())];
  for (int i = 0; i < 3; ++i) text += static_cast<char>(rng.below(256));
  return text + std::string(kBehindNumbers, '\n');
}

}  // namespace

TEST_CASE("number: two million random texts are read as from_chars reads them, to the bit") {
  Rng rng(6, Purpose::test);
  int numbers = 0;
  int wrong = 0;
  std::string example;
  for (int i = 0; i < 2000000; ++i) {
    const std::string text = random_text(rng);
    if (text[0] == '+') continue;  // which from_chars does not know
    const char* const end = text.data() + text.size() - kBehindNumbers;
    double wanted = 0;
    const auto [rest, error] = std::from_chars(text.data(), end, wanted);
    const bool is_number = error == std::errc() && std::abs(wanted) <= FLT_MAX;
    const char* at = text.data();
    double value = 0;
    const bool found = scan_number(at, end, value) == Scan::number;
    numbers += is_number;
    if (found != is_number ||
        (found && (at != rest || std::bit_cast<std::uint64_t>(value) != std::bit_cast<std::uint64_t>(wanted)))) {
      ++wrong;
      example = text;
    }
  }
  CAPTURE(example);
  CHECK(wrong == 0);
  CHECK(numbers > 1500000);
}

TEST_CASE("number: text is rounded as the C library rounds it") {
  for (const char* const text :
       {"0", "-0", "1", "123456789012345", "1234567890123456", "0.1", "-0.3", "5.", ".5",
        "0.000000000000001", "9007199254740993", "1e22", "1e23", "1.7976931348623157e30",
        "2.2250738585072014e-308", "4.9e-324", "1e-400", "123.456e-7", "179769313486231570000000000",
        "0.30000000000000004", "999999999999999", "99999999999999.9"}) {
    CAPTURE(text);
    const std::string with_end = std::string(text) + std::string(kBehindNumbers, '\n');
    const char* at = with_end.data();
    double value = NAN;
    REQUIRE(scan_number(at, with_end.data() + with_end.size() - kBehindNumbers, value) == Scan::number);
    CHECK(at == with_end.data() + with_end.size() - kBehindNumbers);
    CHECK(value == std::strtod(text, nullptr));
    CHECK(std::signbit(value) == (text[0] == '-'));
  }
  for (const char* const text : {"", "-", ".", "+", "+-1", "--1", "1e", "0x10", "1,5", "1 2", "nan", "inf",
                                 "1_000", "1.2.3", "e5"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_number(text));
  }
  CHECK(parse_number("+7") == 7);
  CHECK(parse_number("\t7 ") == 7);
}
