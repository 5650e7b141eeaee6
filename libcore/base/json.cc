// SPDX-License-Identifier: MIT
#include "base/json.h"

#include <cmath>
#include <set>
#include <vector>

#include "base/error.h"

namespace dl {

namespace {

constexpr int kDeepest = 64;
// nlohmann looks for a key among all that came before, so a million keys would take hours.
constexpr std::size_t kMostKeys = 16384;

// nlohmann lets the last of two equal keys win; this refuses the second.
class DuplicateFinder {
 public:
  explicit DuplicateFinder(const std::string& what) : what_(what) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kDeepest) fail(Exit::data, "{}: nested deeper than {} levels", what_, kDeepest);
    using Event = Json::parse_event_t;
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(parsed.get<std::string>()).second) {
      fail(Exit::data, "{}: key {} stands twice", what_, shown(parsed.get<std::string>()));
    }
    if (event == Event::key && keys_.back().size() > kMostKeys) {
      fail(Exit::data, "{}: an object of more than {} keys", what_, kMostKeys);
    }
    return true;
  }

 private:
  const std::string& what_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& what) {
  try {
    DuplicateFinder finder(what);
    return Json::parse(text, [&finder](int depth, Json::parse_event_t event, Json& parsed) {
      return finder(depth, event, parsed);
    });
  } catch (const Json::exception& e) {
    // nlohmann's text begins with its own identifier in brackets.
    const std::string_view full = e.what();
    const std::size_t bracket = full.find("] ");
    fail(Exit::data, "{}: not JSON: {}", what,
         bracket == std::string_view::npos ? full : full.substr(bracket + 2));
  }
}

std::string dump_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

JsonObject::JsonObject(const Json& value, std::string what)
    : value_(&value), what_(std::move(what)) {
  if (!value.is_object()) fail(Exit::data, "{}: an object is wanted here", what_);
}

const Json& JsonObject::get(const char* key) const {
  const auto found = value_->find(key);
  if (found == value_->end()) fail(Exit::data, "{}: key '{}' is missing", what_, key);
  return *found;
}

std::string JsonObject::text(const char* key) const {
  const Json& value = get(key);
  if (!value.is_string()) fail(Exit::data, "{}: '{}' must be a text", what_, key);
  return value.get<std::string>();
}

std::uint64_t JsonObject::count(const char* key, std::uint64_t most) const {
  const Json& value = get(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) {
    fail(Exit::data, "{}: '{}' must be a whole number from 0 to {}, not {}", what_, key, most,
         shown(dump_line(value)));
  }
  return value.get<std::uint64_t>();
}

double JsonObject::number(const char* key) const {
  const Json& value = get(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    fail(Exit::data, "{}: '{}' must be a finite number, not {}", what_, key,
         shown(dump_line(value)));
  }
  return value.get<double>();
}

bool JsonObject::boolean(const char* key) const {
  const Json& value = get(key);
  if (!value.is_boolean()) fail(Exit::data, "{}: '{}' must be true or false", what_, key);
  return value.get<bool>();
}

const Json& JsonObject::array(const char* key, std::size_t most) const {
  const Json& value = get(key);
  if (!value.is_array() || value.size() > most) {
    fail(Exit::data, "{}: '{}' must be a list of at most {} elements", what_, key, most);
  }
  return value;
}

JsonObject JsonObject::object(const char* key) const {
  return {get(key), fmt::format("{}: {}", what_, key)};
}

}  // namespace dl
