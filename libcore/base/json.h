// SPDX-License-Identifier: MIT
// JSON from outside, read strictly: one of two equal keys, a wrong type or a number out of range is
// an error (65) that names the document and the key, never a guess.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace dl {

using Json = nlohmann::ordered_json;

// `what` names the document in messages ("m/manifest.json"). At most 64 levels deep.
Json parse_json(std::string_view text, const std::string& what);

// One line for programs; text that is not UTF-8 is replaced, not refused. NaN and infinity: 70.
std::string dump_line(const Json& value);

// A view of one object of a document that reads its members strictly.
class JsonObject {
 public:
  JsonObject(const Json& value, std::string what);  // 65 where it is no object

  bool has(const char* key) const { return value_->contains(key); }
  const Json& get(const char* key) const;  // 65 where missing
  std::string text(const char* key) const;
  std::uint64_t count(const char* key, std::uint64_t most = UINT64_MAX) const;  // whole, 0 .. most
  double number(const char* key) const;                                         // finite
  bool boolean(const char* key) const;
  const Json& array(const char* key, std::size_t most = SIZE_MAX) const;
  JsonObject object(const char* key) const;
  const std::string& what() const { return what_; }

 private:
  const Json* value_;
  std::string what_;
};

}  // namespace dl
