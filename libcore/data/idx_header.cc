// SPDX-License-Identifier: MIT
// IDX, the format of MNIST and its kin: bytes 0 0 TYPE DIMENSIONS, a big-endian uint32 for each
// dimension, then the values, big-endian.
#include <array>
#include <optional>

#include "base/error.h"
#include "data/array_file.h"

namespace dl::data {

namespace {

constexpr unsigned kMostDimensions = 8;

std::optional<Element> element_of(unsigned char type) {
  switch (type) {
    case 0x08: return Element::u1;
    case 0x09: return Element::i1;
    case 0x0b: return Element::i2;
    case 0x0c: return Element::i4;
    case 0x0d: return Element::f4;
    case 0x0e: return Element::f8;
    default: return std::nullopt;
  }
}

}  // namespace

bool looks_like_idx(std::string_view head) {
  return head.size() >= 4 && head[0] == 0 && head[1] == 0 &&
         element_of(static_cast<unsigned char>(head[2])) && head[3] > 0 &&
         static_cast<unsigned>(head[3]) <= kMostDimensions;
}

ArrayHeader read_idx_header(ByteSource& source) {
  std::array<char, 4 * kMostDimensions> bytes{};
  const std::string& name = source.name();
  if (const std::size_t n = source.read(bytes.data(), 4); n < 4) {
    fail(Exit::data, "{}: {}", name, n == 0 ? "is empty" : "too short to be IDX or NPY");
  }
  const auto byte = [&bytes](std::size_t i) { return std::uint32_t{static_cast<unsigned char>(bytes[i])}; };
  if (!looks_like_idx({bytes.data(), 4})) {
    fail(Exit::data, "{}: neither IDX nor NPY: it begins with bytes {:02x} {:02x} {:02x} {:02x}", name,
         byte(0), byte(1), byte(2), byte(3));
  }
  ArrayHeader header{*element_of(static_cast<unsigned char>(bytes[2])), true, {}};
  const std::size_t dimensions = byte(3);
  if (source.read(bytes.data(), 4 * dimensions) < 4 * dimensions) {
    fail(Exit::data, "{}: ends inside its IDX header", name);
  }
  for (std::size_t i = 0; i < dimensions; ++i) {
    header.shape.push_back(byte(4 * i) << 24 | byte(4 * i + 1) << 16 | byte(4 * i + 2) << 8 | byte(4 * i + 3));
  }
  return header;
}

}  // namespace dl::data
