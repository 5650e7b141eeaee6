// SPDX-License-Identifier: MIT
#include "data/key.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

using namespace dl::data;

TEST_CASE("key: a number is one key however it is written, a text its bytes") {
  CHECK(key_of("1") == key_of("1.0"));
  CHECK(key_of(" 1e0\t") == key_of(1.0));
  CHECK(key_of("-0") == key_of("0"));
  CHECK(key_of(-0.0) == key_of("0.000"));
  CHECK(key_of("007") == key_of(7.0));
  CHECK(key_of("1") != key_of("2"));
  CHECK(key_of("alice") != key_of("Alice"));
  CHECK(key_of("alice") == key_of(" alice "));
  CHECK(key_of("") != key_of("0"));
  CHECK(key_of("nan") != key_of("inf"));
  const double nan = std::nan("");
  CHECK(key_of_row(std::vector<double>{nan}) == key_of_row(std::vector<double>{-nan}));
  CHECK(key_of_row(std::vector<double>{nan}) != key_of_row(std::vector<double>{0}));
}

TEST_CASE("key: ids that a double cannot tell apart are different keys") {
  CHECK(std::stod("9007199254740993") == std::stod("9007199254740992"));
  CHECK(key_of("9007199254740993") != key_of("9007199254740992"));
  CHECK(key_of("-9007199254740993") != key_of("-9007199254740992"));
  CHECK(key_of("9007199254740991") == key_of(kLargestKeyNumber - 1));
  CHECK(key_of(std::string(50, '9')) != key_of(std::string(51, '9')));
}

TEST_CASE("key: a double holds it") {
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t key = key_of("user-" + std::to_string(i));
    CHECK(static_cast<std::uint64_t>(static_cast<double>(key)) == key);
    CHECK(key < std::uint64_t{1} << 53);
  }
}

TEST_CASE("key: those seen lately are remembered rightly") {
  Keys keys;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 70000; ++i) {  // more than are remembered
      const std::string text = i % 3 == 0 ? std::to_string(i) : "k" + std::to_string(i % 60000);
      CHECK(keys(text) == key_of(text));
    }
  }
  CHECK(keys("") == key_of(""));
  CHECK(keys(std::string(1000, 'x')) == key_of(std::string(1000, 'x')));
}

TEST_CASE("key: golden keys, which no release may change") {
  // printf talice | sha256sum begins e1f206eb73981761: these bits but the last 11.
  CHECK(key_of("alice") == 0xe1f206eb73981761 >> 11);
  CHECK(key_of("1") == 7519616818021182);
  CHECK(key_of_row(std::vector<double>{1, -0.0}) == 5787796511676224);
}
