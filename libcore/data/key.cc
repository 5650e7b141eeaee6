// SPDX-License-Identifier: MIT
#include "data/key.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "base/hash.h"
#include "data/schema.h"

namespace dl::data {

namespace {

constexpr std::size_t kRemembered = 1U << 15;
constexpr std::size_t kLongestRemembered = 64;
static_assert(std::endian::native == std::endian::little);

std::uint64_t first_53_bits(std::string_view bytes) {
  const std::string hex = sha256_hex(as_bytes_of(bytes));
  std::uint64_t first = 0;
  std::from_chars(hex.data(), hex.data() + 16, first, 16);
  return first >> 11;
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

void append(std::string& bytes, double number) {
  number = std::isnan(number) ? std::numeric_limits<double>::quiet_NaN() : number + 0.0;  // -0 is 0
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

std::uint64_t key_of(double number) {
  std::string bytes = "n";
  append(bytes, number);
  return first_53_bits(bytes);
}

std::uint64_t key_of(std::string_view text) {
  const std::optional<double> number = parse_number(text);
  if (number && std::abs(*number) < kLargestKeyNumber) return key_of(*number);
  return first_53_bits("t" + std::string(without_blanks(text)));
}

std::uint64_t key_of_row(std::span<const double> numbers) {
  std::string bytes = "r";
  bytes.reserve(1 + numbers.size() * sizeof(double));
  for (const double number : numbers) append(bytes, number);
  return first_53_bits(bytes);
}

Keys::Keys() : known_(kRemembered) {}

std::uint64_t Keys::operator()(std::string_view text) {
  if (text.empty() || text.size() > kLongestRemembered) return key_of(text);
  Known& known = known_[std::hash<std::string_view>()(text) % kRemembered];
  if (known.text != text) {
    known.text = text;
    known.key = key_of(text);
  }
  return known.key;
}

}  // namespace dl::data
