// SPDX-License-Identifier: MIT
#include "comm/compression.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"

namespace dl::comm {

namespace {

constexpr std::uint32_t kMostRank = 64;

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

CompressionSpec parse_compression(std::string_view text) {
  const std::size_t sign = text.find('=');
  const std::string_view name = text.substr(0, sign);
  const bool has_value = sign != std::string_view::npos;
  const std::string_view value = has_value ? text.substr(sign + 1) : std::string_view();
  if (!has_value) {
    if (name == "none") return {};
    if (name == "bf16") return {.scheme = Scheme::bf16};
    if (name == "int8") return {.scheme = Scheme::int8};
  }
  if (name == "topk") {
    const auto ratio = number_in<double>(value);
    if (ratio && *ratio > 0 && *ratio <= 1) return {.scheme = Scheme::topk, .ratio = *ratio};
    fail(Exit::usage, "{}: topk wants the part of the elements to send, above 0 and at most 1, as in topk=0.01",
         shown(text));
  }
  if (name == "powersgd") {
    const auto rank = number_in<std::uint32_t>(value);
    if (rank && *rank > 0 && *rank <= kMostRank) return {.scheme = Scheme::powersgd, .rank = *rank};
    fail(Exit::usage, "{}: powersgd wants a rank from 1 to {}, as in powersgd=2", shown(text), kMostRank);
  }
  fail(Exit::usage, "{} is no compression; none, bf16, int8, topk=RATIO and powersgd=RANK are", shown(text));
}

std::string text_of(const CompressionSpec& spec) {
  switch (spec.scheme) {
    case Scheme::none: return "none";
    case Scheme::bf16: return "bf16";
    case Scheme::int8: return "int8";
    case Scheme::topk: return fmt::format("topk={}", spec.ratio);
    case Scheme::powersgd: return fmt::format("powersgd={}", spec.rank);
  }
  fail(Exit::bug, "no compression has number {}", static_cast<int>(spec.scheme));
}

double warm_ratio(double ratio, std::uint64_t epoch) {
  double warm = 0.25;
  for (; epoch > 0 && warm > ratio; --epoch) warm *= 0.25;
  return std::max(ratio, warm);
}

}  // namespace dl::comm
