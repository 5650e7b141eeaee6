// SPDX-License-Identifier: MIT
#include "data/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace dl::data {

namespace {

double value_of(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string decode_number(float value, const Scaling& scaling) {
  const double exact = static_cast<double>(value) / scaling.scale + scaling.shift;
  const double error = std::abs(static_cast<double>(value)) * 0x1p-24 / scaling.scale;
  // Near the mean the feature is so exact that double's own rounding is what counts.
  const double allowed = std::max(error, std::abs(exact) * 0x1p-50);
  constexpr int kMostDigits = 17, kMostPlaces = 9;
  const auto is_near = [&](const std::string& text) {
    return std::abs(value_of(text) - exact) <= allowed;
  };
  for (int places = 0; places <= kMostPlaces && std::abs(exact) < 1e15; ++places) {
    std::string text = fmt::format("{:.{}f}", exact, places);
    if (is_near(text)) return text.starts_with('-') && value_of(text) == 0 ? text.substr(1) : text;
  }
  for (int digits = 1; digits < kMostDigits; ++digits) {
    std::string text = fmt::format("{:.{}g}", exact, digits);
    if (is_near(text)) return text;
  }
  return fmt::format("{:.17g}", exact);
}

std::vector<std::string> decode_cells(const Schema& schema, std::span<const float> features) {
  std::vector<std::string> cells;
  for (const Column& column : schema.columns) {
    const std::span<const float> own = features.first(column.features());
    features = features.subspan(own.size());
    if (column.indicator && own.back() == 1.0F) {
      cells.emplace_back();
    } else if (column.kind == Kind::number) {
      for (std::uint32_t i = 0; i < column.width; ++i) cells.push_back(decode_number(own[i], column.scaling));
    } else {
      const auto at = static_cast<std::size_t>(std::find(own.begin(), own.end(), 1.0F) - own.begin());
      cells.push_back(at < column.categories.size() ? column.categories[at] : "other");
    }
  }
  return cells;
}

}  // namespace dl::data
