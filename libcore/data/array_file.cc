// SPDX-License-Identifier: MIT
#include "data/array_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/error.h"
#include "data/schema.h"

namespace dl::data {

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 18;
constexpr std::uint64_t kExactWhole = std::uint64_t{1} << 53;

std::uint8_t swapped(std::uint8_t x) { return x; }
std::uint16_t swapped(std::uint16_t x) { return __builtin_bswap16(x); }
std::uint32_t swapped(std::uint32_t x) { return __builtin_bswap32(x); }
std::uint64_t swapped(std::uint64_t x) { return __builtin_bswap64(x); }

// IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits.
struct Half {
  std::uint16_t bits;
  explicit operator double() const {
    const int exponent = bits >> 10 & 31;
    const int fraction = bits & 1023;
    double value = 0;
    if (exponent == 31) {
      value = fraction == 0 ? std::numeric_limits<double>::infinity()
                            : std::numeric_limits<double>::quiet_NaN();
    } else if (exponent == 0) {
      value = std::ldexp(fraction, -24);
    } else {
      value = std::ldexp(1024 + fraction, exponent - 25);
    }
    return bits >> 15 ? -value : value;
  }
};

template <typename Whole>
bool is_exact(Whole value) {
  if constexpr (std::is_same_v<Whole, std::uint64_t>) {
    return value <= kExactWhole;
  } else if constexpr (std::is_same_v<Whole, std::int64_t>) {
    return static_cast<std::uint64_t>(value) + kExactWhole <= 2 * kExactWhole;
  } else {
    return true;
  }
}

}  // namespace

unsigned bytes_of(Element element) {
  switch (element) {
    case Element::b1:
    case Element::i1:
    case Element::u1: return 1;
    case Element::i2:
    case Element::u2:
    case Element::f2: return 2;
    case Element::i4:
    case Element::u4:
    case Element::f4: return 4;
    default: return 8;
  }
}

ArrayFile::ArrayFile(ByteSource source) : source_(std::move(source)) {
  const std::string& name = source_.name();
  const std::string_view head = source_.peek(8);
  if (looks_like_npy(head)) {
    format_ = "npy";
    header_ = read_npy_header(source_);
  } else {
    format_ = "idx";
    header_ = read_idx_header(source_);
  }
  if (header_.shape.empty()) {
    fail(Exit::data, "{}: holds a single number, not one or more for each sample", name);
  }
  samples_ = header_.shape[0];
  std::uint64_t values = 1;
  for (std::size_t i = 1; i < header_.shape.size(); ++i) {
    const std::uint64_t size = header_.shape[i];
    if (size > kMostFeatures || (values *= size) == 0 || values > kMostFeatures) {
      fail(Exit::data, "{}: its header gives a sample no values, or more than {}", name, kMostFeatures);
    }
    shape_.push_back(static_cast<std::uint32_t>(size));
  }
  values_ = static_cast<std::uint32_t>(values);
  sample_bytes_ = std::size_t{values_} * bytes_of(header_.element);
}

bool ArrayFile::next(double* values) {
  if (done_ == samples_) {
    char more = 0;
    if (source_.read(&more, 1) == 1) {
      fail(Exit::data, "{}: has more bytes than the {} samples of its header", source_.name(),
           samples_);
    }
    return false;
  }
  decode(read_sample(), values);
  ++done_;
  return true;
}

const char* ArrayFile::read_sample() {
  if (at_ == have_) {
    const std::uint64_t samples =
        std::min<std::uint64_t>(samples_ - done_, std::max<std::size_t>(1, kBuffer / sample_bytes_));
    bytes_.resize(samples * sample_bytes_);
    have_ = source_.read(bytes_.data(), bytes_.size());
    at_ = 0;
  }
  if (have_ - at_ < sample_bytes_) {
    fail(Exit::data, "{}: ends inside sample {}, but its header promises {} samples; is it truncated?",
         source_.name(), done_, samples_);
  }
  at_ += sample_bytes_;
  return bytes_.data() + at_ - sample_bytes_;
}

void ArrayFile::refuse_value(std::size_t value, const std::string& why) const {
  fail(Exit::data, "{}: sample {}, value {}: {}", source_.name(), done_, value, why);
}

template <typename Stored, typename Value>
void ArrayFile::take(const char* from, double* values) const {
  const bool swap = header_.big_endian != (std::endian::native == std::endian::big);
  const std::size_t count = values_;
  bool exact = true;
  const auto at = [&](std::size_t i) {
    Stored stored;
    std::memcpy(&stored, from + i * sizeof(Stored), sizeof stored);
    return std::bit_cast<Value>(swap ? swapped(stored) : stored);
  };
  for (std::size_t i = 0; i < count; ++i) {
    const Value value = at(i);
    values[i] = static_cast<double>(value);
    exact &= is_exact(value);
  }
  for (std::size_t i = 0; i < count && !exact; ++i) {
    if constexpr (std::is_integral_v<Value>) {
      if (!is_exact(at(i))) {
        refuse_value(i, fmt::format("{} is beyond 2^53, where whole numbers are no longer exact", at(i)));
      }
    }
  }
  if constexpr (!std::is_integral_v<Value>) {
    constexpr double kLargest = std::numeric_limits<float>::max();
    const auto fits = [](double x) { return std::abs(x) <= kLargest; };
    bool all = true;
    for (std::size_t i = 0; i < count; ++i) all &= fits(values[i]);
    for (std::size_t i = 0; i < count && !all; ++i) {
      if (fits(values[i]) || (missing_ && std::isnan(values[i]))) continue;
      refuse_value(i, fmt::format("{} is not finite, or too large for a float32", values[i]));
    }
  }
}

void ArrayFile::decode(const char* from, double* values) const {
  switch (header_.element) {
    case Element::b1: {
      const char* const bad = std::find_if(from, from + values_, [](char byte) { return (byte & ~1) != 0; });
      if (bad != from + values_) {
        refuse_value(static_cast<std::size_t>(bad - from),
                     fmt::format("byte {} is neither true nor false", static_cast<unsigned char>(*bad)));
      }
      [[fallthrough]];
    }
    case Element::u1: return take<std::uint8_t, std::uint8_t>(from, values);
    case Element::i1: return take<std::uint8_t, std::int8_t>(from, values);
    case Element::u2: return take<std::uint16_t, std::uint16_t>(from, values);
    case Element::i2: return take<std::uint16_t, std::int16_t>(from, values);
    case Element::u4: return take<std::uint32_t, std::uint32_t>(from, values);
    case Element::i4: return take<std::uint32_t, std::int32_t>(from, values);
    case Element::u8: return take<std::uint64_t, std::uint64_t>(from, values);
    case Element::i8: return take<std::uint64_t, std::int64_t>(from, values);
    case Element::f2: return take<std::uint16_t, Half>(from, values);
    case Element::f4: return take<std::uint32_t, float>(from, values);
    case Element::f8: return take<std::uint64_t, double>(from, values);
  }
}

}  // namespace dl::data
