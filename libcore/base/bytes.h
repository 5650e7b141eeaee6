// SPDX-License-Identifier: MIT
// Little-endian numbers in byte buffers, for the file formats. All of dl's formats are little-endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dl {

static_assert(std::endian::native == std::endian::little,
              "formats and wire carry little-endian floats as they lie in memory");

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

template <typename T>
ByteView as_bytes_of(std::span<const T> values) {
  static_assert(std::is_trivially_copyable_v<T>);
  return std::as_bytes(values);
}

inline ByteView as_bytes_of(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

template <typename T>
void put(Bytes& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

void put_text(Bytes& out, std::string_view text);  // the characters alone, no length

// Reads a buffer from front to back; never past its end.
class ByteReader {
 public:
  // `what` names the buffer in messages ("shard-0003.dls: header").
  ByteReader(ByteView bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}

  template <typename T>
  T get() {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  ByteView take(std::size_t count);  // fails with 65 where fewer are left
  std::string text(std::size_t count);
  std::size_t left() const { return bytes_.size() - at_; }
  std::size_t offset() const { return at_; }

 private:
  ByteView bytes_;
  std::string what_;
  std::size_t at_ = 0;
};

}  // namespace dl
