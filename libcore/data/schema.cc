// SPDX-License-Identifier: MIT
#include "data/schema.h"

#include <algorithm>

#include "base/error.h"

namespace dl::data {

std::uint32_t Schema::features() const {
  std::uint32_t total = 0;
  for (const Column& column : columns) total += column.features();
  return total;
}

std::uint32_t Schema::outputs() const {
  return static_cast<std::uint32_t>(task == Task::classification ? target().classes.size()
                                                                 : targets.size());
}

std::string Schema::target_name() const {
  std::string all;
  for (const Target& one : targets) all += (all.empty() ? "" : ", ") + one.name;
  return all;
}

const std::string& Schema::class_name(std::uint32_t code) const {
  if (code >= target().classes.size()) {
    fail(Exit::bug, "class code {} of {} classes", code, target().classes.size());
  }
  return target().classes[code];
}

std::optional<std::uint32_t> Schema::find_class(std::string_view text) const {
  const auto& names = target().classes;
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
  fail(Exit::data, "{}: {} is none of the {} classes that the model knows", target().name,
       shown(text), target().classes.size());
}

std::vector<Scaling> Schema::scalings() const {
  std::vector<Scaling> all;
  all.reserve(features());
  for (const Column& column : columns) {
    const std::uint32_t own = column.kind == Kind::number ? column.width : 0;
    all.insert(all.end(), own, column.scaling);
    all.insert(all.end(), column.features() - own, Scaling{});
  }
  return all;
}

std::string Schema::feature_name(std::uint32_t feature) const {
  for (const Column& column : columns) {
    if (feature >= column.features()) {
      feature -= column.features();
    } else if (column.indicator && feature + 1 == column.features()) {
      return column.name + " missing";
    } else if (column.kind == Kind::category) {
      return fmt::format("{}={}", column.name,
                         feature < column.categories.size() ? column.categories[feature] : "...");
    } else {
      return column.width == 1 ? column.name : fmt::format("{} {}", column.name, feature);
    }
  }
  fail(Exit::bug, "feature {} beyond the last column", feature);
}

}  // namespace dl::data
