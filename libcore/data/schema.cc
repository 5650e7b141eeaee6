// SPDX-License-Identifier: MIT
#include "data/schema.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "base/error.h"

namespace dl::data {

namespace {

void refuse_unknown_keys(const Json& json, const std::string& what,
                         std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail(Exit::data, "{}: unknown key {}; was it made by a newer dl-shard?", what, shown(key));
    }
  }
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

Json input_to_json(const Input& input) {
  Json json{{"format", input.format}};
  if (input.format == "idx") {
    json["shape"] = input.shape;
  } else {
    json["separator"] = std::string(1, input.separator);
    json["header"] = input.header;
    json["columns"] = input.columns;
  }
  return json;
}

Input input_from_json(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  Input input;
  input.format = object.text("format");
  if (input.format == "idx") {
    refuse_unknown_keys(json, what, {"format", "shape"});
    std::uint64_t values = 1;
    for (const Json& size : object.array("shape", 16)) {
      if (!size.is_number_unsigned() || size.get<std::uint64_t>() == 0 ||
          size.get<std::uint64_t>() > kMostFeatures) {
        fail(Exit::data, "{}: 'shape' must hold whole numbers from 1 to {}", what, kMostFeatures);
      }
      input.shape.push_back(size.get<std::uint32_t>());
      values *= input.shape.back();
      if (values > kMostFeatures) fail(Exit::data, "{}: 'shape' has too many values", what);
    }
  } else if (input.format == "csv") {
    refuse_unknown_keys(json, what, {"format", "separator", "header", "columns"});
    const std::string separator = object.text("separator");
    if (separator.size() != 1) fail(Exit::data, "{}: 'separator' must be one byte", what);
    input.separator = separator[0];
    input.header = object.boolean("header");
    input.columns = static_cast<std::uint32_t>(object.count("columns", kMostFeatures));
  } else {
    fail(Exit::data, "{}: unknown format {}", what, shown(input.format));
  }
  return input;
}

Column column_from_json(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  refuse_unknown_keys(json, what, {"name", "index", "width", "kind", "shift", "scale"});
  Column column;
  column.name = object.text("name");
  column.index = static_cast<std::uint32_t>(object.count("index", kMostFeatures));
  if (object.has("width")) {
    column.width = static_cast<std::uint32_t>(object.count("width", kMostFeatures));
    if (column.width == 0) fail(Exit::data, "{}: 'width' must be at least 1", what);
  }
  column.kind = object.text("kind");
  if (column.kind != "number") {
    fail(Exit::data, "{}: unknown kind {}; was it made by a newer dl-shard?", what,
         shown(column.kind));
  }
  column.scaling = get_scaling(object);
  return column;
}

Target target_from_json(const Json& json, const std::string& what, Task task) {
  const JsonObject object(json, what);
  Target target;
  target.name = object.text("name");
  target.index = static_cast<std::uint32_t>(object.count("index", kMostFeatures));
  if (task == Task::regression) {
    refuse_unknown_keys(json, what, {"name", "index", "shift", "scale"});
    target.scaling = get_scaling(object);
    return target;
  }
  refuse_unknown_keys(json, what, {"name", "index", "classes"});
  for (const Json& name : object.array("classes", kMostClasses)) {
    if (!name.is_string()) fail(Exit::data, "{}: 'classes' must hold texts", what);
    target.classes.push_back(name.get<std::string>());
  }
  if (target.classes.size() < 2) fail(Exit::data, "{}: fewer than two classes", what);
  std::vector<std::string> sorted = target.classes;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    fail(Exit::data, "{}: class {} stands twice", what, shown(*twice));
  }
  return target;
}

// Each cell of a raw row at most once; an image as a whole.
void check_places(const Schema& schema, const std::string& what) {
  const auto refuse = [&](const char* why) { fail(Exit::data, "{}: {}", what, why); };
  if (schema.input.format == "idx") {
    std::uint64_t values = 1;
    for (const std::uint32_t size : schema.input.shape) values *= size;
    if (schema.features() != values) refuse("as many features as 'shape' has values are wanted");
    return;
  }
  std::vector<bool> taken(schema.input.columns);
  const auto take = [&](std::uint32_t index) {
    if (index >= taken.size()) refuse("a column's 'index' is beyond 'columns' of 'input'");
    if (taken[index]) refuse("two columns have the same 'index'");
    taken[index] = true;
  };
  take(schema.target.index);
  for (const Column& column : schema.columns) {
    if (column.width != 1) refuse("a column of a table has 'width' 1");
    take(column.index);
  }
}

}  // namespace

std::uint32_t Schema::features() const {
  std::uint32_t total = 0;
  for (const Column& column : columns) total += column.width;
  return total;
}

std::uint32_t Schema::outputs() const {
  return task == Task::classification ? static_cast<std::uint32_t>(target.classes.size()) : 1;
}

const std::string& Schema::class_name(std::uint32_t code) const {
  if (code >= target.classes.size()) {
    fail(Exit::bug, "class code {} of {} classes", code, target.classes.size());
  }
  return target.classes[code];
}

std::optional<std::uint32_t> Schema::find_class(std::string_view text) const {
  const auto& names = target.classes;
  if (const auto at = std::find(names.begin(), names.end(), text); at != names.end()) {
    return static_cast<std::uint32_t>(at - names.begin());
  }
  const std::optional<double> wanted = parse_number(text);
  if (!wanted) return std::nullopt;
  std::optional<std::uint32_t> found;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::optional<double> value = parse_number(names[i]);
    if (!value) return std::nullopt;
    if (*value == *wanted) found = static_cast<std::uint32_t>(i);
  }
  return found;
}

std::uint32_t Schema::class_code(std::string_view text) const {
  if (const auto code = find_class(text)) return *code;
  fail(Exit::data, "{}: {} is none of the {} classes that the model knows", target.name,
       shown(text), target.classes.size());
}

std::vector<Scaling> Schema::scalings() const {
  std::vector<Scaling> all;
  all.reserve(features());
  for (const Column& column : columns) all.insert(all.end(), column.width, column.scaling);
  return all;
}

std::string Schema::feature_name(std::uint32_t feature) const {
  for (const Column& column : columns) {
    if (feature < column.width) {
      return column.width == 1 ? column.name : fmt::format("{} {}", column.name, feature);
    }
    feature -= column.width;
  }
  fail(Exit::bug, "feature {} beyond the last column", feature);
}

Json Schema::to_json() const {
  Json json{{"task", task == Task::classification ? "classification" : "regression"},
            {"input", input_to_json(input)},
            {"columns", Json::array()},
            {"target", {{"name", target.name}, {"index", target.index}}}};
  for (const Column& column : columns) {
    Json one{{"name", column.name}, {"index", column.index}};
    if (column.width != 1) one["width"] = column.width;
    one["kind"] = column.kind;
    put_scaling(one, column.scaling);
    json["columns"].push_back(std::move(one));
  }
  if (task == Task::classification) {
    json["target"]["classes"] = target.classes;
  } else {
    put_scaling(json["target"], target.scaling);
  }
  return json;
}

Schema Schema::from_json(const Json& json, const std::string& what) {
  const JsonObject object(json, what);
  refuse_unknown_keys(json, what, {"task", "input", "columns", "target"});
  Schema schema;
  const std::string task = object.text("task");
  if (task != "classification" && task != "regression") {
    fail(Exit::data, "{}: unknown task {}", what, shown(task));
  }
  schema.task = task == "classification" ? Task::classification : Task::regression;
  schema.input = input_from_json(object.get("input"), what + ": input");
  std::uint64_t features = 0;
  for (const Json& one : object.array("columns", kMostFeatures)) {
    const std::string where = fmt::format("{}: columns: {}", what, schema.columns.size());
    schema.columns.push_back(column_from_json(one, where));
    features += schema.columns.back().width;
    if (features > kMostFeatures) fail(Exit::data, "{}: too many features", where);
  }
  if (schema.columns.empty()) fail(Exit::data, "{}: no columns", what);
  schema.target = target_from_json(object.get("target"), what + ": target", schema.task);
  check_places(schema, what);
  return schema;
}

}  // namespace dl::data
