// SPDX-License-Identifier: MIT
#include "base/json.h"

#include <doctest/doctest.h>

#include "base/error.h"

using namespace dl;

TEST_CASE("json: two equal keys, a cut text and a deep nest are refused") {
  CHECK_THROWS_WITH_AS(parse_json(R"({"a":1,"b":{"a":1},"a":2})", "doc"),
                       "doc: key 'a' stands twice", Error);
  CHECK_NOTHROW(parse_json(R"({"a":1,"b":{"a":1}})", "doc"));
  CHECK_THROWS_AS(parse_json(R"({"a":)", "doc"), Error);
  CHECK_THROWS_AS(parse_json(std::string(10000, '['), "doc"), Error);
}

TEST_CASE("json: an object of a million keys is refused before it takes hours") {
  std::string text = "{";
  for (int i = 0; i < 1'000'000; ++i) text += fmt::format("\"{}\":1,", i);
  text += "\"last\":1}";
  CHECK_THROWS_WITH_AS(parse_json(text, "doc"), "doc: an object of more than 16384 keys", Error);
}

TEST_CASE("json: getters take the right type and range only") {
  const Json value = parse_json(R"({"n":3,"neg":-1,"f":1.5,"t":"x","b":true,"l":[1,2]})", "doc");
  const JsonObject doc(value, "doc");
  CHECK(doc.count("n") == 3);
  CHECK(doc.number("f") == 1.5);
  CHECK(doc.number("n") == 3.0);
  CHECK(doc.text("t") == "x");
  CHECK(doc.boolean("b"));
  CHECK(doc.array("l").size() == 2);
  CHECK_THROWS_AS(doc.count("n", 2), Error);
  CHECK_THROWS_AS(doc.count("neg"), Error);
  CHECK_THROWS_AS(doc.count("f"), Error);
  CHECK_THROWS_AS(doc.number("t"), Error);
  CHECK_THROWS_AS(doc.text("n"), Error);
  CHECK_THROWS_AS(doc.array("l", 1), Error);
  CHECK_THROWS_WITH_AS(doc.text("zz"), "doc: key 'zz' is missing", Error);
}
