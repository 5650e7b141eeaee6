// SPDX-License-Identifier: MIT
#include "data/manifest.h"

#include <doctest/doctest.h>

#include <functional>

#include "base/hash.h"
#include "data/fixtures.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

Manifest example() {
  Manifest manifest;
  manifest.seed = 7;
  manifest.by = "random";
  manifest.schema = test::flowers();
  manifest.shards = {{"shard-0000.dls", 3, std::string(64, 'a'), {1, 2, 0}},
                     {"shard-0001.dls", 2, std::string(64, '0'), {0, 0, 2}}};
  manifest.test = {ShardEntry{"test.dls", 1, std::string(64, 'f'), {0, 1, 0}}};
  return manifest;
}

}  // namespace

TEST_CASE("manifest: what is written is read back") {
  const test::Scratch dir;
  const Manifest manifest = example();
  CHECK(manifest.training_samples() == 5);
  const std::string text = manifest.to_json().dump(1);
  write_file(dir / "manifest.json", text);
  const Manifest read = read_manifest(dir.path());
  CHECK(read.to_json() == manifest.to_json());
  REQUIRE(read.test.size() == 1);
  CHECK(read.test[0].samples == 1);
  CHECK(read.validation.empty());
  CHECK(manifest_digest(dir.path()) == sha256_hex(as_bytes_of(text)));
  CHECK(test::complaint_of([&] { read_manifest(dir / "none"); }).code == Exit::no_input);
}

TEST_CASE("manifest: one test file stands alone, several are a list in their order") {
  Manifest manifest = example();
  CHECK(manifest.to_json()["test"].is_object());
  CHECK_FALSE(manifest.to_json().contains("validation"));
  manifest.test.push_back({"test-0001.dls", 2, std::string(64, 'e'), {1, 1, 0}});
  const Json json = parse_json(manifest.to_json().dump(), "m");
  REQUIRE(json["test"].is_array());
  const Manifest read = Manifest::from_json(json, "m");
  REQUIRE(read.test.size() == 2);
  CHECK(read.test[1].file == "test-0001.dls");
  CHECK(read.to_json() == manifest.to_json());
  for (const std::size_t few : {0, 1}) {
    Json other = json;
    while (other["test"].size() > few) other["test"].erase(0);
    CHECK(test::complaint_of([&] { Manifest::from_json(other, "m"); }).code == Exit::data);
  }
}

TEST_CASE("manifest: without a shard, that shard is the test part and the others close up") {
  Manifest manifest = example();
  manifest.shards.push_back({"shard-0002.dls", 4, std::string(64, '2'), {4, 0, 0}});
  const Manifest left = without_shard(manifest, 1);
  REQUIRE(left.shards.size() == 2);
  CHECK(left.shards[0].file == "shard-0000.dls");
  CHECK(left.shards[1].file == "shard-0002.dls");
  REQUIRE(left.test.size() == 1);
  CHECK(left.test[0].file == "shard-0001.dls");
  CHECK(left.training_samples() == 7);
  CHECK(test::complaint_of([&] { without_shard(manifest, 3); }).code == Exit::usage);
  Manifest hollow = manifest;
  hollow.shards[0].samples = 0;
  CHECK(test::contains(test::complaint_of([&] { without_shard(hollow, 0); }).text, "it is empty"));
  manifest.shards.resize(1);
  CHECK(test::complaint_of([&] { without_shard(manifest, 0); }).code == Exit::usage);
}

TEST_CASE("manifest: what a strategy was told stands with it, and only there") {
  Manifest weighted = example();
  weighted.by = "weighted";
  weighted.weights = {3, 0.5};
  Manifest dirichlet = example();
  dirichlet.by = "dirichlet";
  dirichlet.alpha = 0.25;
  Manifest hash = example();
  hash.by = "hash";
  hash.key = "patient";
  const auto again = [](const Json& json) {
    return Manifest::from_json(parse_json(dump_line(json), "m"), "m").to_json();
  };
  for (const Manifest& manifest : {weighted, dirichlet, hash}) {
    const Json json = manifest.to_json();
    CHECK(dump_line(again(json)) == dump_line(json));
    for (const char* const by : {"random", "weighted", "dirichlet", "hash"}) {
      Json other = json;
      other["by"] = by;
      if (by != manifest.by) CHECK(test::complaint_of([&] { again(other); }).code == Exit::data);
    }
  }
  CHECK(weighted.to_json()["weights"] == Json{3.0, 0.5});
  CHECK_FALSE(example().to_json().contains("key"));
  const auto refused = [&](const Manifest& manifest, const char* key, const Json& value) {
    Json json = manifest.to_json();
    json[key] = value;
    return test::complaint_of([&] { again(json); }).code == Exit::data;
  };
  CHECK(refused(weighted, "weights", Json::array()));
  CHECK(refused(weighted, "weights", {0, 0}));
  CHECK(refused(weighted, "weights", {1, -1}));
  CHECK(refused(weighted, "weights", {1, "1"}));
  CHECK(refused(dirichlet, "alpha", 0));
  CHECK(refused(dirichlet, "alpha", "0.5"));
  CHECK(refused(hash, "key", ""));
  CHECK(refused(hash, "key", 3));
}

TEST_CASE("manifest: each damaged member is refused") {
  const std::vector<std::function<void(Json&)>> damages = {
      [](Json& j) { j["format"] = "manifest"; },
      [](Json& j) { j["version"] = 2; },
      [](Json& j) { j["seed"] = -1; },
      [](Json& j) { j.erase("by"); },
      [](Json& j) { j["samples"] = 6; },
      [](Json& j) { j["shards"] = Json::array(); },
      [](Json& j) { j["shards"][0]["file"] = "../x"; },
      [](Json& j) { j["shards"][0]["file"] = ".."; },
      [](Json& j) { j["shards"][0]["samples"] = 4; },
      [](Json& j) { j["shards"][0]["sha256"] = std::string(64, 'A'); },
      [](Json& j) { j["shards"][0]["sha256"] = "00"; },
      [](Json& j) { j["shards"][0]["class_counts"] = {3, 0}; },
      [](Json& j) { j["shards"][0]["class_counts"] = {UINT64_MAX, 4, 0}; },
      [](Json& j) { j["shards"][0]["extra"] = 1; },
      [](Json& j) { j["test"]["samples"] = 0; },
      [](Json& j) { j["extra"] = 1; },
  };
  for (std::size_t i = 0; i < damages.size(); ++i) {
    CAPTURE(i);
    Json json = example().to_json();
    damages[i](json);
    const auto complaint = test::complaint_of([&] { Manifest::from_json(json, "m.json"); });
    CHECK(complaint.code == Exit::data);
    CHECK(test::contains(complaint.text, "m.json"));
  }
}
