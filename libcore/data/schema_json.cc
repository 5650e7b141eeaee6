// SPDX-License-Identifier: MIT
// A schema's text: dl-manifest(5).
#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "data/schema.h"

namespace dl::data {

namespace {

constexpr std::size_t kMostMissing = 64;
constexpr std::size_t kMostCategories = 1U << 16;

void refuse_unknown_keys(const Json& json, const std::string& what,
                         std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail(Exit::data, "{}: unknown key {}; was it made by a newer dl-shard?", what, shown(key));
    }
  }
}

std::uint32_t count32(const JsonObject& object, const char* key) {
  return static_cast<std::uint32_t>(object.count(key, kMostFeatures));
}

// Texts, none of them twice.
std::vector<std::string> texts(const JsonObject& object, const char* key, std::size_t most) {
  std::vector<std::string> all;
  for (const Json& text : object.array(key, most)) {
    if (!text.is_string()) fail(Exit::data, "{}: '{}' must hold texts", object.what(), key);
    all.push_back(text.get<std::string>());
  }
  std::vector<std::string> sorted = all;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    fail(Exit::data, "{}: {} stands twice in '{}'", object.what(), shown(*twice), key);
  }
  return all;
}

void put_scaling(Json& json, const Scaling& scaling) {
  json["shift"] = scaling.shift;
  json["scale"] = scaling.scale;
}

Scaling get_scaling(const JsonObject& object) {
  const Scaling scaling{object.number("shift"), object.number("scale")};
  if (!(scaling.scale > 0)) {
    fail(Exit::data, "{}: 'scale' must be above 0, not {}", object.what(), scaling.scale);
  }
  return scaling;
}

Json to_json(const Input& input) {
  Json json{{"format", input.format}};
  if (input.format == "libsvm") {
    json["first"] = input.first;
    json["features"] = input.columns;
  } else if (input.format == "npy" && input.columns > 0) {
    json["columns"] = input.columns;
  } else if (input.format != "csv") {
    json["shape"] = input.shape;
  } else {
    json["separator"] = std::string(1, input.separator);
    json["header"] = input.header;
    json["columns"] = input.columns;
    if (!input.missing.empty()) json["missing"] = input.missing;
  }
  return json;
}

std::vector<std::uint32_t> shape_of(const JsonObject& object) {
  std::vector<std::uint32_t> shape;
  std::uint64_t values = 1;
  for (const Json& size : object.array("shape", 32)) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() == 0 ||
        size.get<std::uint64_t>() > kMostFeatures) {
      fail(Exit::data, "{}: 'shape' must hold whole numbers from 1 to {}", object.what(), kMostFeatures);
    }
    shape.push_back(size.get<std::uint32_t>());
    values *= shape.back();
    if (values > kMostFeatures) fail(Exit::data, "{}: 'shape' has too many values", object.what());
  }
  return shape;
}

Input input_of(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  Input input;
  input.format = object.text("format");
  if (input.format == "libsvm") {
    refuse_unknown_keys(json, what, {"format", "first", "features"});
    input.first = static_cast<std::uint32_t>(object.count("first", 1));
    input.columns = count32(object, "features");
  } else if (input.format == "npy" && object.has("columns")) {
    refuse_unknown_keys(json, what, {"format", "columns"});
    input.columns = count32(object, "columns");
    if (input.columns == 0) fail(Exit::data, "{}: 'columns' must be at least 1", what);
  } else if (input.format == "idx" || input.format == "npy") {
    refuse_unknown_keys(json, what, {"format", "shape"});
    input.shape = shape_of(object);
  } else if (input.format == "csv") {
    refuse_unknown_keys(json, what, {"format", "separator", "header", "columns", "missing"});
    const std::string separator = object.text("separator");
    if (separator.size() != 1) fail(Exit::data, "{}: 'separator' must be one byte", what);
    input.separator = separator[0];
    input.header = object.boolean("header");
    input.columns = count32(object, "columns");
    if (object.has("missing")) input.missing = texts(object, "missing", kMostMissing);
  } else {
    fail(Exit::data, "{}: unknown format {}", what, shown(input.format));
  }
  return input;
}

Json to_json(const Column& column) {
  Json json{{"name", column.name}, {"index", column.index}};
  if (column.width != 1) json["width"] = column.width;
  if (column.kind == Kind::number) {
    json["kind"] = "number";
    put_scaling(json, column.scaling);
    if (column.fill) json["fill"] = *column.fill;
  } else {
    json["kind"] = "category";
    json["categories"] = column.categories;
    json["other"] = column.other;
    if (column.usual) json["fill"] = column.categories[*column.usual];
  }
  if (column.indicator) json["indicator"] = true;
  if (column.missing > 0) json["missing"] = column.missing;
  return json;
}

Column column_of(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  Column column;
  column.name = object.text("name");
  column.index = count32(object, "index");
  const std::string kind = object.text("kind");
  if (kind == "number") {
    refuse_unknown_keys(json, what, {"name", "index", "width", "kind", "shift", "scale", "fill",
                                     "indicator", "missing"});
    if (object.has("width")) {
      column.width = count32(object, "width");
      if (column.width == 0) fail(Exit::data, "{}: 'width' must be at least 1", what);
    }
    column.scaling = get_scaling(object);
    if (object.has("fill")) column.fill = object.number("fill");
  } else if (kind == "category") {
    refuse_unknown_keys(json, what, {"name", "index", "kind", "categories", "other", "fill",
                                     "indicator", "missing"});
    column.kind = Kind::category;
    column.categories = texts(object, "categories", kMostCategories);
    column.other = object.boolean("other");
    if (object.has("fill")) {
      const auto& all = column.categories;
      const auto at = std::find(all.begin(), all.end(), object.text("fill"));
      if (at == all.end()) fail(Exit::data, "{}: 'fill' is none of 'categories'", what);
      column.usual = static_cast<std::uint32_t>(at - all.begin());
    }
  } else {
    fail(Exit::data, "{}: unknown kind {}; was it made by a newer dl-shard?", what, shown(kind));
  }
  if (object.has("indicator")) column.indicator = object.boolean("indicator");
  if (object.has("missing")) column.missing = object.count("missing");
  if (column.indicator && column.width != 1) fail(Exit::data, "{}: 'indicator' needs 'width' 1", what);
  return column;
}

Json to_json(const Target& target, Task task) {
  Json json{{"name", target.name}, {"index", target.index}};
  if (task == Task::classification) {
    json["classes"] = target.classes;
  } else {
    put_scaling(json, target.scaling);
  }
  return json;
}

Target target_of(const Json& json, const std::string& what, Task task) {
  const JsonObject object(json, what);
  Target target;
  target.name = object.text("name");
  target.index = count32(object, "index");
  if (task == Task::regression) {
    refuse_unknown_keys(json, what, {"name", "index", "shift", "scale"});
    target.scaling = get_scaling(object);
    return target;
  }
  refuse_unknown_keys(json, what, {"name", "index", "classes"});
  target.classes = texts(object, "classes", kMostClasses);
  if (target.classes.size() < 2) fail(Exit::data, "{}: fewer than two classes", what);
  return target;
}

std::vector<Target> targets_of(const Json& json, const std::string& what, Task task) {
  if (!json.is_array()) return {target_of(json, what, task)};
  std::vector<Target> all;
  if (json.size() < 2 || json.size() > kMostTargetColumns || task == Task::classification) {
    fail(Exit::data, "{}: a list must hold 2 to {} numbers to predict", what, kMostTargetColumns);
  }
  for (const Json& one : json) all.push_back(target_of(one, what, task));
  return all;
}

Json to_json(const PlainColumn& column) {
  return {{"name", column.name}, {"index", column.index}};
}

PlainColumn plain_of(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  refuse_unknown_keys(json, what, {"name", "index"});
  return {object.text("name"), count32(object, "index")};
}

// Arrays and sparse text: all that a sample holds is a number, in its place; one target.
void check_whole_samples(const Schema& schema, const std::string& what) {
  const auto refuse = [&](const char* why) { fail(Exit::data, "{}: {}", what, why); };
  const Input& input = schema.input;
  for (const Column& column : schema.columns) {
    if (column.kind != Kind::number || column.indicator) refuse("only tables have categories and indicators");
  }
  if (schema.targets.size() > 1 || schema.weight || schema.key || !schema.ignored.empty()) {
    refuse("only tables have a weight, a key, ignored columns and several targets");
  }
  if (input.columns == 0 && input.format != "libsvm") {
    std::uint64_t values = 1;
    for (const std::uint32_t size : input.shape) values *= size;
    if (schema.features() != values) refuse("as many features as 'shape' has values are wanted");
    return;
  }
  const bool beside = input.format == "npy";  // the target is a column too
  if (beside && schema.target().index >= input.columns) refuse("the target's 'index' is beyond 'columns' of 'input'");
  bool all = schema.columns.size() + beside == input.columns;
  std::uint32_t index = input.format == "libsvm" ? input.first : 0;
  for (const Column& column : schema.columns) {
    if (beside && index == schema.target().index) ++index;
    all = all && column.index == index++ && column.width == 1;
  }
  if (!all) refuse("'columns' must be all that a sample has, each of width 1, in their order");
}

// Each cell of a raw row at most once; an image as a whole.
void check_places(const Schema& schema, const std::string& what) {
  const auto refuse = [&](const char* why) { fail(Exit::data, "{}: {}", what, why); };
  if (schema.input.format != "csv") return check_whole_samples(schema, what);
  std::vector<bool> taken(schema.input.columns);
  const auto take = [&](std::uint32_t index) {
    if (index >= taken.size()) refuse("a column's 'index' is beyond 'columns' of 'input'");
    if (taken[index]) refuse("two columns have the same 'index'");
    taken[index] = true;
  };
  for (const Target& target : schema.targets) take(target.index);
  for (const Column& column : schema.columns) {
    if (column.width != 1) refuse("a column of a table has 'width' 1");
    take(column.index);
  }
  if (schema.weight) take(schema.weight->index);
  for (const PlainColumn& column : schema.ignored) take(column.index);
  // The key may be a feature too.
  if (schema.key && schema.key->index >= taken.size()) refuse("the key's 'index' is beyond 'columns'");
}

}  // namespace

Json Schema::to_json() const {
  Json json{{"task", task == Task::classification ? "classification" : "regression"},
            {"input", data::to_json(input)},
            {"columns", Json::array()}};
  for (const Column& column : columns) json["columns"].push_back(data::to_json(column));
  if (targets.size() == 1) {
    json["target"] = data::to_json(target(), task);
  } else {
    json["target"] = Json::array();
    for (const Target& one : targets) json["target"].push_back(data::to_json(one, task));
  }
  if (weight) json["weight"] = data::to_json(*weight);
  if (key) json["key"] = data::to_json(*key);
  for (const PlainColumn& column : ignored) json["ignored"].push_back(data::to_json(column));
  return json;
}

Schema Schema::from_json(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  refuse_unknown_keys(json, what, {"task", "input", "columns", "target", "weight", "key", "ignored"});
  Schema schema;
  const std::string task = object.text("task");
  if (task != "classification" && task != "regression") {
    fail(Exit::data, "{}: unknown task {}", what, shown(task));
  }
  schema.task = task == "classification" ? Task::classification : Task::regression;
  schema.input = input_of(object.get("input"), what + ": input");
  std::uint64_t features = 0;
  for (const Json& one : object.array("columns", kMostFeatures)) {
    const std::string where = fmt::format("{}: columns: {}", what, schema.columns.size());
    schema.columns.push_back(column_of(one, where));
    features += schema.columns.back().features();
    if (features > kMostFeatures) fail(Exit::data, "{}: too many features", where);
  }
  if (features == 0) fail(Exit::data, "{}: no columns", what);
  schema.targets = targets_of(object.get("target"), what + ": target", schema.task);
  if (object.has("weight")) schema.weight = plain_of(object.get("weight"), what + ": weight");
  if (object.has("key")) schema.key = plain_of(object.get("key"), what + ": key");
  if (object.has("ignored")) {
    for (const Json& one : object.array("ignored", kMostFeatures)) {
      schema.ignored.push_back(plain_of(one, what + ": ignored"));
    }
  }
  check_places(schema, what);
  return schema;
}

}  // namespace dl::data
