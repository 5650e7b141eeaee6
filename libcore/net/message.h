// SPDX-License-Identifier: MIT
// Messages as values: what a message may be made of, and its bytes.
//
// A message is a struct with `static constexpr Type type` and a member
//   template <class A> void serialize(A& a, unsigned) { a & first & second; }
// whose fields are fixed-width integers, bool, double, enums with a fixed underlying type, Text, List,
// or structs of these. The bytes are those of a Boost.Serialization binary archive without header:
// every number little-endian in its own width, a double as its 64 bits, a text or list as its length
// in 32 bits and its elements. Only numbers and counted characters ever reach the archive, so nothing
// a peer sends can make it track, allocate or construct. dl-protocol(7) has an example in hex.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace dl::net {

// The number of a message in its frame's header. Never reused for something else.
enum class Type : std::uint8_t {
  hello = 1,
  welcome = 2,
  refuse = 3,
  ready = 4,
  pause = 5,
  paused = 6,
  send_state = 7,
  state_begin = 8,
  state_chunk = 9,  // raw float32
  state_end = 10,
  start = 11,
  signal = 12,
  heartbeat = 13,
  progress = 14,
  report = 15,
  done = 16,
  goodbye = 17,
  fetch = 18,
  file_piece = 19,  // where it belongs, and raw bytes
  load = 20,
  loaded = 21,
  pace = 22,
  updates = 23,

  mesh_hello = 32,
  part = 33,    // raw float32: a rank's partial sums
  result = 34,  // raw float32: totals
  record = 35,
  gather = 36,  // raw bytes between rounds
  message = 37,  // raw bytes from one rank to another
  mesh_stay = 38,
};

std::string_view name(Type type);  // "hello"; "?" for a number that is none

// Text of at most N bytes. Which bytes is up to the sender: shown() before a person sees it.
template <std::size_t N>
class Text {
 public:
  static constexpr std::size_t kMost = N;

  Text() = default;
  Text(std::string text) : text_(checked(std::move(text))) {}  // fails with 70 when too long
  Text(std::string_view text) : Text(std::string(text)) {}
  Text(const char* text) : Text(std::string(text)) {}
  static Text cut(std::string_view text) { return Text(text.substr(0, N)); }

  const std::string& str() const { return text_; }
  operator std::string_view() const { return text_; }
  std::size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }

  template <std::convertible_to<std::string_view> Other>
  bool operator==(const Other& other) const {
    return std::string_view(text_) == std::string_view(other);
  }

 private:
  static std::string checked(std::string text) {
    if (text.size() > N) {
      fail(Exit::bug, "a text of {} bytes does not fit a field of {}: {}", text.size(), N,
           shown(text));
    }
    return text;
  }
  std::string text_;
};

// At most N elements.
template <typename T, std::size_t N>
class List {
 public:
  static constexpr std::size_t kMost = N;

  List() = default;
  List(std::vector<T> items) : items_(std::move(items)) { check(items_.size()); }
  List(std::initializer_list<T> items) : List(std::vector<T>(items)) {}

  void push_back(T item) {  // fails with 70 when full
    check(items_.size() + 1);
    items_.push_back(std::move(item));
  }
  const std::vector<T>& items() const { return items_; }
  operator const std::vector<T>&() const { return items_; }
  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  const T& operator[](std::size_t i) const { return items_[i]; }
  T& operator[](std::size_t i) { return items_[i]; }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  auto begin() { return items_.begin(); }
  auto end() { return items_.end(); }

  friend bool operator==(const List& a, const List& b) { return a.items_ == b.items_; }

 private:
  static void check(std::size_t size) {
    if (size > N) fail(Exit::bug, "{} elements do not fit a list of {}", size, N);
  }
  std::vector<T> items_;
};

namespace detail {
template <typename T>
struct IsText : std::false_type {};
template <std::size_t N>
struct IsText<Text<N>> : std::true_type {};
template <typename T>
struct IsList : std::false_type {};
template <typename T, std::size_t N>
struct IsList<List<T, N>> : std::true_type {};
}  // namespace detail

// The archive that a message is written to.
class Encoder {
 public:
  Encoder();
  ~Encoder();
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  template <typename T>
  Encoder& operator&(T& value) {
    if constexpr (detail::IsText<T>::value) {
      text(value.str());
    } else if constexpr (detail::IsList<T>::value) {
      number(static_cast<std::uint32_t>(value.size()));
      for (auto& item : value) *this & item;
    } else if constexpr (std::is_enum_v<T>) {
      number(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::same_as<T, bool>) {
      number(static_cast<std::uint8_t>(value));
    } else if constexpr (std::same_as<T, double>) {
      number(std::bit_cast<std::uint64_t>(value));
    } else if constexpr (std::integral<T>) {
      number(static_cast<std::make_unsigned_t<T>>(value));
    } else {
      value.serialize(*this, 0U);
    }
    return *this;
  }

  Bytes take();  // everything written; call once

 private:
  struct Archive;
  template <std::integral T>
  void number(T value) {
    put_number(static_cast<std::make_unsigned_t<T>>(value));
  }
  void put_number(std::uint8_t value);
  void put_number(std::uint16_t value);
  void put_number(std::uint32_t value);
  void put_number(std::uint64_t value);
  void text(std::string_view text);

  std::unique_ptr<Archive> archive_;
};

// The archive that a message is read from. Fails with 65 at the first thing that does not fit.
class Decoder {
 public:
  Decoder(ByteView bytes, Type type);  // `type` is for error texts
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  template <typename T>
  Decoder& operator&(T& value) {
    if constexpr (detail::IsText<T>::value) {
      value = T(text(T::kMost));
    } else if constexpr (detail::IsList<T>::value) {
      value = T();
      for (std::uint32_t left = count(T::kMost); left > 0; --left) {
        std::decay_t<decltype(value[0])> item{};
        *this & item;
        value.push_back(std::move(item));
      }
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(number<std::underlying_type_t<T>>());
    } else if constexpr (std::same_as<T, bool>) {
      value = truth();
    } else if constexpr (std::same_as<T, double>) {
      value = std::bit_cast<double>(number<std::uint64_t>());
    } else if constexpr (std::integral<T>) {
      value = number<T>();
    } else {
      value.serialize(*this, 0U);
    }
    return *this;
  }

  void end();  // fails where bytes are left

 private:
  struct Archive;
  template <std::integral T>
  T number() {
    std::make_unsigned_t<T> value = 0;
    get_number(value);
    return static_cast<T>(value);
  }
  void get_number(std::uint8_t& value);
  void get_number(std::uint16_t& value);
  void get_number(std::uint32_t& value);
  void get_number(std::uint64_t& value);
  bool truth();                           // 0 or 1, nothing else
  std::uint32_t count(std::size_t most);  // a length: bounded by `most` and by the bytes left
  std::string text(std::size_t most);

  std::unique_ptr<Archive> archive_;
};

template <typename M>
Bytes encode(const M& message) {
  Encoder encoder;
  const_cast<M&>(message).serialize(encoder, 0U);  // one serialize() for both ways; it only reads here
  return encoder.take();
}

// Fails with 65 on whatever is not exactly one message M.
template <typename M>
M decode(ByteView bytes) {
  M message;
  Decoder decoder(bytes, M::type);
  decoder & message;
  decoder.end();
  return message;
}

}  // namespace dl::net
