// SPDX-License-Identifier: MIT
#include "data/number.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "data/schema.h"

namespace dl::data {

Scan scan_number_slow(const char*& text, const char* end, double& value) {
  const char* at = text;
  if (at != end && *at == '+' && at + 1 != end && at[1] != '-') ++at;
  double number = 0;
  const auto [rest, error] = std::from_chars(at, end, number);
  if (error == std::errc::invalid_argument) return Scan::word;
  if (error == std::errc::result_out_of_range) {
    // from_chars does not say which way; strtod does, and keeps denormals.
    number = std::strtod(std::string(at, rest).c_str(), nullptr);
    if (std::isinf(number)) return Scan::too_large;
  } else if (!std::isfinite(number)) {
    return Scan::word;
  }
  if (std::abs(number) > std::numeric_limits<float>::max()) return Scan::too_large;
  value = number;
  text = rest;
  return Scan::number;
}

std::optional<double> parse_number(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  if (text.empty()) return std::nullopt;
  const char* at = text.data();
  const char* const end = at + text.size();
  double value = 0;
  if (scan_number_slow(at, end, value) != Scan::number || at != end) return std::nullopt;
  return value;
}

}  // namespace dl::data
