// SPDX-License-Identifier: MIT
#include "train/init.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"
#include "train/cursor.h"

namespace dl::train {

namespace {

struct Difference {
  std::string place, theirs, ours;
};

// Where raw rows stand in their files, and what was counted there, says nothing about the features.
bool counts(const std::string& key) {
  static const std::set<std::string> apart = {"input", "index", "missing", "weight", "key", "ignored"};
  return !apart.contains(key);
}

std::string text_of(const Json* value) { return value == nullptr ? "none" : shown(dump_line(*value)); }

std::string name_of(const Json& item, std::size_t number) {
  if (item.is_object() && item.contains("name") && item["name"].is_string()) {
    return shown(item["name"].get<std::string>());
  }
  return std::to_string(number);
}

std::optional<Difference> difference(const std::string& place, const Json& theirs, const Json& ours) {
  if (theirs.is_array() && ours.is_array()) {
    if (theirs.size() != ours.size()) {
      return Difference{"the number of" + place, std::to_string(theirs.size()), std::to_string(ours.size())};
    }
    for (std::size_t i = 0; i < ours.size(); ++i) {
      if (auto found = difference(place + " " + name_of(ours[i], i), theirs[i], ours[i])) return found;
    }
    return std::nullopt;
  }
  if (theirs.is_object() && ours.is_object()) {
    std::set<std::string> keys;
    for (const Json* side : {&theirs, &ours}) {
      for (const auto& [key, value] : side->items()) {
        if (counts(key)) keys.insert(key);
      }
    }
    for (const std::string& key : keys) {
      const Json* const a = theirs.contains(key) ? &theirs[key] : nullptr;
      const Json* const b = ours.contains(key) ? &ours[key] : nullptr;
      if (a == nullptr || b == nullptr) return Difference{place + " " + key, text_of(a), text_of(b)};
      if (auto found = difference(place + " " + key, *a, *b)) return found;
    }
    return std::nullopt;
  }
  if (theirs == ours) return std::nullopt;
  return Difference{place, text_of(&theirs), text_of(&ours)};
}

}  // namespace

Snapshot begin_with(const RunRecord& record, const checkpoint::Checkpoint& checkpoint, const std::string& what) {
  const JsonObject metadata(checkpoint.metadata, what);
  const auto disagree = [&](const std::string& subject, const std::string& theirs, const std::string& ours) {
    fail(Exit::disagree, "{}: {} is {} there, and {} here; --init needs the same model and the same columns",
         what, subject, theirs, ours);
  };
  const std::string model = metadata.text("model");
  if (model != record.config.model) disagree("the model", shown(model), shown(record.config.model));
  if (const auto found = difference("", metadata.get("schema"), record.schema)) {
    disagree("schema:" + found->place, found->theirs, found->ours);
  }
  const auto tensors = record.config.model_spec().tensors();
  const bool fits = std::equal(tensors.begin(), tensors.end(), checkpoint.tensors.begin(), checkpoint.tensors.end(),
                               [](const nn::TensorSpec& a, const checkpoint::TensorShape& b) {
                                 return a.name == b.name && a.shape == b.shape;
                               });
  if (!fits) fail(Exit::data, "{}: its tensors are not those of its model {}", what, shown(model));
  Snapshot out;
  out.cursor = dump_line(Cursor{}.to_json());
  out.values = checkpoint.parameters;
  out.values.resize(record.state_floats(), 0.0F);
  return out;
}

}  // namespace dl::train
