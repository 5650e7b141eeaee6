// SPDX-License-Identifier: MIT
// What dl-shard --write-schema writes for people to change.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/json.h"
#include "data/column_plan.h"

namespace dl::data {

namespace {

constexpr std::uint64_t kLongest = std::uint64_t{64} << 20;
constexpr std::array<const char*, 6> kUses = {"number", "category", "ignore", "target", "weight", "key"};

ColumnUse use_of(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  for (const auto& [key, value] : json.items()) {
    if (key != "name" && key != "index" && key != "use" && key != "indicator") {
      fail(Exit::data, "{}: unknown key {}; there are name, index, use and indicator", what, shown(key));
    }
  }
  ColumnUse one;
  one.name = object.text("name");
  one.index = static_cast<std::uint32_t>(object.count("index", kMostFeatures));
  const std::string use = object.text("use");
  const auto at = std::find(kUses.begin(), kUses.end(), use);
  if (at == kUses.end()) {
    fail(Exit::data, "{}: 'use' is {}; it must be number, category, ignore, target, weight or key", what,
         shown(use));
  }
  one.use = static_cast<Use>(at - kUses.begin());
  if (object.has("indicator")) one.indicator = object.boolean("indicator");
  return one;
}

}  // namespace

std::string schema_file(const CsvReader& reader, const std::vector<ColumnUse>& uses,
                        const std::vector<std::string>& missing) {
  std::string out = fmt::format("{{\"format\": \"dl schema\", \"version\": 1,\n \"separator\": {}, "
                                "\"header\": {},\n \"missing\": {},\n \"columns\": [",
                                dump_line(std::string(1, reader.separator())), reader.header(),
                                dump_line(missing));
  for (const ColumnUse& use : uses) {
    Json one{{"name", use.name}, {"index", use.index}, {"use", kUses[static_cast<std::size_t>(use.use)]}};
    if (use.indicator) one["indicator"] = true;
    out += (&use == uses.data() ? "\n  " : ",\n  ") + dump_line(one);
  }
  return out + "\n ]\n}\n";
}

SchemaFile read_schema_file(const fs::path& path) {
  const std::string what = path.string();
  const Json json = parse_json(read_file(path, kLongest), what);
  const JsonObject object(json, what);
  for (const auto& [key, value] : json.items()) {
    static constexpr std::array<const char*, 6> known = {"format", "version", "separator",
                                                         "header", "missing", "columns"};
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail(Exit::data, "{}: unknown key {}", what, shown(key));
    }
  }
  if (object.text("format") != "dl schema" || object.count("version") != 1) {
    fail(Exit::data, "{}: not a schema file of version 1 (dl-shard --write-schema makes one)", what);
  }
  SchemaFile file;
  if (object.has("separator")) {
    const std::string separator = object.text("separator");
    if (separator.size() != 1) fail(Exit::data, "{}: 'separator' must be one byte", what);
    file.separator = separator[0];
  }
  if (object.has("header")) file.header = object.boolean("header");
  if (object.has("missing")) {
    file.missing.emplace();
    for (const Json& text : object.array("missing", 64)) {
      if (!text.is_string()) fail(Exit::data, "{}: 'missing' must hold texts", what);
      file.missing->push_back(text.get<std::string>());
    }
  }
  std::size_t weights = 0, keys = 0;
  for (const Json& one : object.array("columns", kMostFeatures)) {
    file.uses.push_back(use_of(one, fmt::format("{}: columns: {}", what, file.uses.size())));
    weights += file.uses.back().use == Use::weight;
    keys += file.uses.back().use == Use::key;
  }
  if (weights > 1 || keys > 1) fail(Exit::data, "{}: more than one weight or key", what);
  return file;
}

}  // namespace dl::data
