// SPDX-License-Identifier: MIT
#include "data/manifest.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/hash.h"

namespace dl::data {

namespace {

constexpr std::size_t kMostShards = 65536;

Json entry_to_json(const ShardEntry& entry) {
  Json json{{"file", entry.file}, {"samples", entry.samples}, {"sha256", entry.sha256}};
  if (!entry.class_counts.empty()) json["class_counts"] = entry.class_counts;
  return json;
}

// One file stands alone, several are a list.
Json part_to_json(const std::vector<ShardEntry>& part) {
  if (part.size() == 1) return entry_to_json(part.front());
  Json list = Json::array();
  for (const ShardEntry& entry : part) list.push_back(entry_to_json(entry));
  return list;
}

bool plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

ShardEntry entry_from_json(const Json& json, const std::string& what, const Schema& schema) {
  const JsonObject object(json, what);
  for (const auto& [key, value] : json.items()) {
    if (key != "file" && key != "samples" && key != "sha256" && key != "class_counts") {
      fail(Exit::data, "{}: unknown key {}; was it made by a newer dl-shard?", what, shown(key));
    }
  }
  ShardEntry entry;
  entry.file = object.text("file");
  if (!plain_name(entry.file)) {
    fail(Exit::data, "{}: 'file' must be a plain name, not {}", what, shown(entry.file));
  }
  entry.samples = object.count("samples", UINT32_MAX);
  entry.sha256 = object.text("sha256");
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (entry.sha256.size() != 64 ||
      !std::all_of(entry.sha256.begin(), entry.sha256.end(), digit)) {
    fail(Exit::data, "{}: 'sha256' must be 64 lower-case hexadecimal digits", what);
  }
  if (schema.task == Task::regression) {
    if (object.has("class_counts")) fail(Exit::data, "{}: 'class_counts' without classes", what);
    return entry;
  }
  std::uint64_t total = 0;
  for (const Json& count : object.array("class_counts", kMostClasses)) {
    if (!count.is_number_unsigned() || count.get<std::uint64_t>() > entry.samples - total) {
      fail(Exit::data, "{}: 'class_counts' must be whole numbers that add up to 'samples'", what);
    }
    entry.class_counts.push_back(count.get<std::uint64_t>());
    total += entry.class_counts.back();
  }
  if (total != entry.samples || entry.class_counts.size() != schema.outputs()) {
    fail(Exit::data, "{}: 'class_counts' must be one number per class and add up to 'samples'",
         what);
  }
  return entry;
}

// What the strategy was told; each key stands with its strategy, and only there.
void read_strategy(const JsonObject& object, Manifest& manifest) {
  manifest.by = object.text("by");
  static constexpr std::pair<const char*, const char*> kTold[] = {
      {"weights", "weighted"}, {"alpha", "dirichlet"}, {"key", "hash"}};
  for (const auto& [key, by] : kTold) {
    if (object.has(key) == (manifest.by == by)) continue;
    fail(Exit::data, "{}: '{}' belongs to \"by\": \"{}\", and the other way round", object.what(), key,
         by);
  }
  if (object.has("weights")) {
    double sum = 0;
    for (const Json& weight : object.array("weights", kMostShards)) {
      const double value = weight.is_number() ? weight.get<double>() : -1;
      if (!(value >= 0 && std::isfinite(value))) {
        fail(Exit::data, "{}: 'weights' must hold numbers from 0", object.what());
      }
      manifest.weights.push_back(value);
      sum += value;
    }
    if (!(sum > 0)) fail(Exit::data, "{}: 'weights': one must be above 0", object.what());
  }
  if (object.has("alpha")) {
    manifest.alpha = object.number("alpha");
    if (!(*manifest.alpha > 0)) fail(Exit::data, "{}: 'alpha' must be above 0", object.what());
  }
  if (object.has("key")) {
    manifest.key = object.text("key");
    if (manifest.key.empty()) fail(Exit::data, "{}: 'key' is empty", object.what());
  }
}

}  // namespace

std::uint64_t Manifest::training_samples() const {
  std::uint64_t total = 0;
  for (const ShardEntry& shard : shards) total += shard.samples;
  return total;
}

Json Manifest::to_json() const {
  Json json{{"format", "dl manifest"}, {"version", 1}, {"seed", seed}, {"by", by}};
  if (!weights.empty()) json["weights"] = weights;
  if (alpha) json["alpha"] = *alpha;
  if (!key.empty()) json["key"] = key;
  json["schema"] = schema.to_json();
  json["samples"] = training_samples();
  json["shards"] = Json::array();
  for (const ShardEntry& shard : shards) json["shards"].push_back(entry_to_json(shard));
  if (!test.empty()) json["test"] = part_to_json(test);
  if (!validation.empty()) json["validation"] = part_to_json(validation);
  return json;
}

Manifest Manifest::from_json(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  if (object.text("format") != "dl manifest") fail(Exit::data, "{}: not a manifest of dl", what);
  if (const auto version = object.count("version"); version != 1) {
    fail(Exit::data, "{}: version {} is not known here (only 1 is); use a newer dl", what, version);
  }
  for (const auto& [key, value] : json.items()) {
    static const char* const known[] = {"format", "version", "seed",    "by",     "weights", "alpha",
                                        "key",    "schema",  "samples", "shards", "test",    "validation"};
    if (std::find(std::begin(known), std::end(known), key) == std::end(known)) {
      fail(Exit::data, "{}: unknown key {}; was it made by a newer dl-shard?", what, shown(key));
    }
  }
  Manifest manifest;
  manifest.seed = object.count("seed");
  read_strategy(object, manifest);
  manifest.schema = Schema::from_json(object.get("schema"), what + ": schema");
  for (const Json& one : object.array("shards", kMostShards)) {
    const std::string where = fmt::format("{}: shards: {}", what, manifest.shards.size());
    manifest.shards.push_back(entry_from_json(one, where, manifest.schema));
  }
  if (manifest.shards.empty()) fail(Exit::data, "{}: no shards", what);
  const auto part = [&](const char* key) {
    const std::string where = fmt::format("{}: {}", what, key);
    std::vector<ShardEntry> entries;
    if (!object.has(key)) return entries;
    if (!object.get(key).is_array()) {
      entries.push_back(entry_from_json(object.get(key), where, manifest.schema));
      return entries;
    }
    for (const Json& one : object.array(key, kMostShards)) {
      entries.push_back(entry_from_json(one, fmt::format("{}: {}", where, entries.size()), manifest.schema));
    }
    if (entries.size() < 2) fail(Exit::data, "{}: a list of fewer than two files", where);
    return entries;
  };
  manifest.test = part("test");
  manifest.validation = part("validation");
  if (object.count("samples") != manifest.training_samples()) {
    fail(Exit::data, "{}: 'samples' is not the sum over the shards", what);
  }
  return manifest;
}

Manifest without_shard(Manifest manifest, std::uint32_t held_out) {
  const std::size_t count = manifest.shards.size();
  if (held_out >= count) {
    fail(Exit::usage, "shard {} cannot be held out: there are {}, numbered from 0", held_out, count);
  }
  if (count == 1) fail(Exit::usage, "the only shard cannot be held out: nothing is left to train on");
  const auto at = manifest.shards.begin() + held_out;
  if (at->samples == 0) fail(Exit::data, "shard {} cannot be held out: it is empty, nothing could be judged on it", held_out);
  manifest.test = {*at};
  manifest.shards.erase(at);
  if (manifest.weights.size() == count) manifest.weights.erase(manifest.weights.begin() + held_out);
  return manifest;
}

Manifest parse_manifest(const std::string& text, const std::string& what) {
  return Manifest::from_json(parse_json(text, what), what);
}

Manifest read_manifest(const fs::path& directory) {
  const fs::path path = directory / kManifestName;
  return parse_manifest(read_file(path, kLongestManifest), path.string());
}

std::string manifest_digest(const fs::path& directory) {
  return sha256_hex(as_bytes_of(read_file(directory / kManifestName, kLongestManifest)));
}

}  // namespace dl::data
