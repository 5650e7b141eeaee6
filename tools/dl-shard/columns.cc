// SPDX-License-Identifier: MIT
#include "columns.h"

#include <algorithm>

#include "base/error.h"

namespace dl {

namespace {

constexpr std::size_t kShownColumns = 32;
constexpr std::size_t kShownTexts = 6;

std::string texts(const std::vector<std::string>& all) {
  std::string out;
  for (std::size_t i = 0; i < std::min(all.size(), kShownTexts); ++i) out += (i == 0 ? "" : ", ") + all[i];
  return all.size() > kShownTexts ? out + ", ..." : out;
}

std::string known_of(const data::Column& column) {
  std::string out;
  if (column.kind == data::Kind::category) {
    out = texts(column.categories);
    if (column.other) out += out.empty() ? "other" : ", other";
  } else {
    out = fmt::format("less {:.6g}, times {:.6g}", column.scaling.shift, column.scaling.scale);
  }
  if (column.missing == 0) return out;
  const std::string fill = column.usual ? shown(column.categories[*column.usual])
                           : column.fill ? fmt::format("{:.6g}", *column.fill)
                                         : "nothing";
  return out + fmt::format("; {} missing, taken for {}", column.missing, fill);
}

}  // namespace

std::string columns_table(const data::Schema& schema) {
  std::size_t width = 6;
  for (const data::Column& column : schema.columns) width = std::max(width, std::min<std::size_t>(column.name.size(), 30));
  const auto line = [width](const std::string& name, const char* use, const std::string& features,
                            const std::string& what) {
    const std::string text = fmt::format("  {:<{}}  {:<9} {:>8}  {}", name, width, use, features, what);
    return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  };
  std::string out = line("COLUMN", "USE", "FEATURES", "WHAT IS KNOWN");
  for (std::size_t i = 0; i < std::min(schema.columns.size(), kShownColumns); ++i) {
    const data::Column& column = schema.columns[i];
    out += line(column.name, column.kind == data::Kind::number ? "number" : "category",
                std::to_string(column.features()), known_of(column));
  }
  if (schema.columns.size() > kShownColumns) {
    out += fmt::format("  ... and {} more (--json shows all)\n", schema.columns.size() - kShownColumns);
  }
  for (const data::Target& target : schema.targets) {
    out += line(target.name, "target", "", schema.task == data::Task::classification
                                               ? texts(target.classes)
                                               : fmt::format("less {:.6g}, times {:.6g}", target.scaling.shift,
                                                             target.scaling.scale));
  }
  if (schema.weight) out += line(schema.weight->name, "weight", "", "");
  if (schema.key) out += line(schema.key->name, "key", "", "");
  for (const data::PlainColumn& column : schema.ignored) out += line(column.name, "ignored", "", "");
  return out;
}

}  // namespace dl
