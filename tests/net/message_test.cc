// SPDX-License-Identifier: MIT
#include "net/message.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace dl;
using net::List;
using net::Text;

namespace {

enum class Colour : std::uint8_t { red = 1, green = 2 };

struct Inner {
  Text<8> word;
  std::uint16_t port = 0;
  template <class A> void serialize(A& a, unsigned) { a & word & port; }
  bool operator==(const Inner&) const = default;
};

struct Sample {
  static constexpr net::Type type = net::Type::hello;
  std::uint32_t a = 0;
  std::int64_t b = 0;
  double c = 0;
  bool d = false;
  Colour e = Colour::red;
  Text<16> f;
  List<Inner, 4> g;
  List<std::uint32_t, 3> h;
  template <class A> void serialize(A& ar, unsigned) { ar & a & b & c & d & e & f & g & h; }
  bool operator==(const Sample&) const = default;
};

Sample sample() {
  Sample s;
  s.a = 0x01020304;
  s.b = -1;
  s.c = 1.5;
  s.d = true;
  s.e = Colour::green;
  s.f = "abc";
  s.g = {Inner{"x", 7000}};
  s.h = {5, 6};
  return s;
}

std::string hex(const Bytes& bytes) {
  std::string out;
  for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

Exit code_of(const Bytes& bytes) {
  try {
    net::decode<Sample>(bytes);
  } catch (const Error& e) {
    return e.code();
  }
  return Exit::ok;
}

}  // namespace

TEST_CASE("message: the bytes of version 1") {
  CHECK(hex(net::encode(sample())) ==
        "04030201"
        "ffffffffffffffff"
        "000000000000f83f"
        "01"
        "02"
        "03000000616263"
        "01000000"
        "0100000078"
        "581b"
        "02000000"
        "0500000006000000");
}

TEST_CASE("message: decode(encode(x)) == x") {
  CHECK(net::decode<Sample>(net::encode(sample())) == sample());
  CHECK(net::decode<Sample>(net::encode(Sample{})) == Sample{});
  Sample odd = sample();
  odd.b = std::numeric_limits<std::int64_t>::min();
  odd.c = -0.0;
  odd.f = std::string("\0\xff", 2);
  const Sample back = net::decode<Sample>(net::encode(odd));
  CHECK(back == odd);
  CHECK(std::signbit(back.c));
}

TEST_CASE("message: every truncation is refused, and every byte too many") {
  const Bytes whole = net::encode(sample());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    CHECK(code_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n))) ==
          Exit::data);
  }
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  CHECK(code_of(longer) == Exit::data);
}

TEST_CASE("message: a length beyond the bound or the bytes is refused before it is believed") {
  const Bytes whole = net::encode(sample());
  constexpr std::size_t kTextAt = 22, kListAt = 29;
  for (const std::size_t at : {kTextAt, kListAt}) {
    for (const std::uint8_t high : {std::uint8_t{0x01}, std::uint8_t{0x7f}, std::uint8_t{0xff}}) {
      Bytes bad = whole;
      bad[at + 3] = std::byte{high};
      CHECK(code_of(bad) == Exit::data);
    }
  }
  Bytes five = whole;
  five[kListAt] = std::byte{5};
  CHECK(code_of(five) == Exit::data);
}

TEST_CASE("message: a flipped bit gives another value or is refused, never the same") {
  const Bytes whole = net::encode(sample());
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes bad = whole;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    bool same = false;
    try {
      same = net::decode<Sample>(bad) == sample();
    } catch (const Error& e) {
      CHECK(e.code() == Exit::data);
    }
    CHECK_FALSE(same);
  }
}

TEST_CASE("message: a truth value is 0 or 1") {
  Bytes bad = net::encode(sample());
  bad[20] = std::byte{2};
  CHECK(code_of(bad) == Exit::data);
}

TEST_CASE("message: what does not fit a field is our own mistake") {
  Text<4> text;
  CHECK_THROWS_AS(text = std::string("12345"), Error);
  CHECK(Text<4>::cut("12345") == "1234");
  List<int, 2> list = {1, 2};
  CHECK_THROWS_AS(list.push_back(3), Error);
  CHECK_THROWS_AS((List<int, 2>(std::vector<int>{1, 2, 3})), Error);
}
