// SPDX-License-Identifier: MIT
#include "data/schema.h"

#include <doctest/doctest.h>

#include <functional>

#include "data/fixtures.h"

using namespace dl;
using namespace dl::data;

TEST_CASE("schema: what is written is read back") {
  for (const Schema& schema : {test::flowers(), test::prices()}) {
    const Json json = parse_json(dump_line(schema.to_json()), "test");
    CHECK(Schema::from_json(json, "test") == schema);
  }
}

TEST_CASE("schema: libsvm and npy inputs are written and read back, and must fit their columns") {
  Schema sparse = test::flowers();
  sparse.input = {};
  sparse.input.format = "libsvm";
  sparse.input.first = 0;
  sparse.input.columns = 2;
  sparse.columns[1].index = 1;
  CHECK(dump_line(sparse.to_json()["input"]) == R"({"format":"libsvm","first":0,"features":2})");
  Schema table = test::flowers();
  table.input = {};
  table.input.format = "npy";
  table.input.columns = 3;
  CHECK(dump_line(table.to_json()["input"]) == R"({"format":"npy","columns":3})");
  Schema samples = test::prices();
  samples.input.format = "npy";
  CHECK(dump_line(samples.to_json()["input"]) == R"({"format":"npy","shape":[2,2]})");
  for (const Schema& schema : {sparse, table, samples}) {
    CHECK(Schema::from_json(schema.to_json(), "test") == schema);
  }
  const auto refused = [](Schema schema, const std::string& key, const Json& value) {
    Json json = schema.to_json();
    json["input"][key] = value;
    CAPTURE(key);
    CHECK(test::complaint_of([&] { Schema::from_json(json, "test"); }).code == Exit::data);
  };
  refused(sparse, "first", 1);
  refused(sparse, "first", 2);
  refused(sparse, "features", 3);
  refused(sparse, "columns", 2);
  refused(table, "columns", 2);
  refused(table, "columns", 0);
  refused(table, "shape", {3});
  refused(samples, "shape", {2, 3});
  std::swap(sparse.columns[0], sparse.columns[1]);
  CHECK(test::complaint_of([&] { Schema::from_json(sparse.to_json(), "test"); }).code == Exit::data);
}

TEST_CASE("schema: features, outputs and names") {
  CHECK(test::flowers().features() == 2);
  CHECK(test::flowers().outputs() == 3);
  CHECK(test::flowers().feature_name(1) == "width");
  CHECK(test::prices().features() == 4);
  CHECK(test::prices().outputs() == 1);
  CHECK(test::prices().feature_name(3) == "pixel 3");
  CHECK(test::prices().scalings().size() == 4);
}

TEST_CASE("schema: classes that are words go by their bytes, numbers by value") {
  Schema schema = test::flowers();
  CHECK(schema.class_code("rose") == 1);
  CHECK_FALSE(schema.find_class("Rose"));
  CHECK_FALSE(schema.find_class("1"));
  schema.targets[0].classes = {"-1", "0.5", "10"};
  CHECK(schema.class_code("10.0") == 2);
  CHECK(schema.class_code(" .5 ") == 1);
  CHECK(schema.class_code("-1e0") == 0);
  const auto complaint = test::complaint_of([&] { schema.class_code("2"); });
  CHECK(complaint.code == Exit::data);
  CHECK(test::contains(complaint.text, "'2'"));
}

TEST_CASE("schema: the target's scaling is undone") {
  const Schema schema = test::prices();
  CHECK(schema.scale_target(108) == 1.0F);
  CHECK(schema.unscale_target(1.0F) == 108);
}

TEST_CASE("schema: each damaged member is refused with its place") {
  const auto refused = [](Schema schema, const std::function<void(Json&)>& damage) {
    Json json = schema.to_json();
    damage(json);
    return test::complaint_of([&] { Schema::from_json(json, "m.json: schema"); });
  };
  const std::vector<std::function<void(Json&)>> damages = {
      [](Json& j) { j["task"] = "ranking"; },
      [](Json& j) { j.erase("columns"); },
      [](Json& j) { j["columns"] = Json::array(); },
      [](Json& j) { j["columns"][0]["kind"] = "category"; },
      [](Json& j) { j["columns"][0]["scale"] = 0; },
      [](Json& j) { j["columns"][0]["scale"] = -1; },
      [](Json& j) { j["columns"][0]["shift"] = "1"; },
      [](Json& j) { j["columns"][0]["index"] = -1; },
      [](Json& j) { j["columns"][0]["index"] = 3; },
      [](Json& j) { j["columns"][0]["index"] = 1; },
      [](Json& j) { j["columns"][0]["width"] = 2; },
      [](Json& j) { j["columns"][0]["width"] = 0; },
      [](Json& j) { j["columns"][0]["width"] = kMostFeatures; },
      [](Json& j) { j["columns"][0]["colour"] = "red"; },
      [](Json& j) { j["target"]["classes"] = {"a"}; },
      [](Json& j) { j["target"]["classes"] = {"a", "b", "a"}; },
      [](Json& j) { j["target"]["classes"] = {"a", 2}; },
      [](Json& j) { j["input"]["format"] = "xls"; },
      [](Json& j) { j["input"]["separator"] = "ab"; },
      [](Json& j) { j["input"]["header"] = 1; },
      [](Json& j) { j["more"] = 1; },
  };
  for (std::size_t i = 0; i < damages.size(); ++i) {
    CAPTURE(i);
    const auto complaint = refused(test::flowers(), damages[i]);
    CHECK(complaint.code == Exit::data);
    CHECK(test::contains(complaint.text, "m.json: schema"));
  }
  CHECK(refused(test::prices(), [](Json& j) { j["input"]["shape"] = {2, 0}; }).code == Exit::data);
  CHECK(refused(test::prices(), [](Json& j) { j["input"]["shape"] = {1 << 20, 1 << 20}; }).code ==
        Exit::data);
  CHECK(refused(test::prices(), [](Json& j) { j["columns"][0]["width"] = 5; }).code == Exit::data);
  CHECK(refused(test::prices(), [](Json& j) { j["target"]["classes"] = {"a", "b"}; }).code ==
        Exit::data);
}
