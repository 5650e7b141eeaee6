// SPDX-License-Identifier: MIT
#include "net/frame.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"

namespace dl::net {

namespace {

constexpr std::array<char, 4> kMagic = {'d', 'l', 'f', 'r'};
constexpr unsigned kTlsAlert = 21, kTlsHandshake = 22, kTlsMajor = 3;  // as a TLS record begins
constexpr std::size_t kCrcAt = kHeaderBytes - 4;

template <typename T>
void set(HeaderBytes& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <typename T>
T get(std::span<const std::byte, kHeaderBytes> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

std::uint32_t max_length(Type type) {
  constexpr std::uint32_t kKiB = 1024, kMiB = 1024 * kKiB;
  switch (type) {
    case Type::hello: return kKiB;
    case Type::welcome: return kMiB + kKiB;
    case Type::refuse: return 2 * kKiB;
    case Type::ready: return kKiB;
    case Type::pause: return 64;
    case Type::paused: return 6 * kKiB;
    case Type::send_state: return 0;
    case Type::state_begin: return 9 * kKiB;
    case Type::state_chunk: return kMiB;
    case Type::state_end: return 64;
    case Type::start: return 640 * kKiB;
    case Type::signal: return 64;
    case Type::heartbeat: return 64;
    case Type::progress: return 128;
    case Type::report: return 17 * kKiB;
    case Type::done: return 17 * kKiB;
    case Type::goodbye: return 2 * kKiB;
    case Type::fetch: return 128;
    case Type::file_piece: return 65 * kKiB;
    case Type::load: return 260 * kKiB;
    case Type::loaded: return 64;
    case Type::pace: return 17 * kKiB;
    case Type::updates: return kMiB + 64;
    case Type::mesh_hello: return 256;
    case Type::part: return 1024 * kMiB;
    case Type::result: return 1024 * kMiB;
    case Type::record: return 65 * kKiB;  // of 4,096 shards, and what is said beside them
    case Type::gather: return 16 * kMiB;
    case Type::message: return 1024 * kMiB;
    case Type::mesh_stay: return 256;
  }
  return 0;
}

bool is_bulk(Type type) {
  return type == Type::part || type == Type::result || type == Type::record ||
         type == Type::gather || type == Type::message;
}

bool checks_payload(Type type) {
  return type != Type::part && type != Type::result && type != Type::message;
}

HeaderBytes encode_header(const Header& header) {
  HeaderBytes bytes{};
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  set(bytes, 4, kFrameVersion);
  set(bytes, 5, static_cast<std::uint8_t>(header.type));
  set(bytes, 8, header.generation);
  set(bytes, 12, header.sequence);
  set(bytes, 20, header.length);
  set(bytes, 24, header.payload_crc);
  set(bytes, kCrcAt, crc32c(std::span(bytes).first<kCrcAt>()));
  return bytes;
}

Header decode_header(std::span<const std::byte, kHeaderBytes> bytes) {
  if (!begins_frame(bytes)) {
    const auto type = std::to_integer<unsigned>(bytes[0]), major = std::to_integer<unsigned>(bytes[1]);
    if ((type == kTlsAlert || type == kTlsHandshake) && major == kTlsMajor) {
      fail(Exit::denied, "TLS where plain frames are spoken: one side has a key, the other one none");
    }
    fail(Exit::data, "no frame of dl begins with {}",
         shown({reinterpret_cast<const char*>(bytes.data()), kMagic.size()}));
  }
  if (get<std::uint32_t>(bytes, kCrcAt) != crc32c(bytes.first<kCrcAt>())) {
    fail(Exit::data, "the header of a frame has a wrong checksum");
  }
  const auto version = get<std::uint8_t>(bytes, 4);
  if (version != kFrameVersion) {
    fail(Exit::disagree, "a frame of version {}, and this is version {}", version, kFrameVersion);
  }
  Header header;
  header.type = static_cast<Type>(get<std::uint8_t>(bytes, 5));
  header.generation = get<std::uint32_t>(bytes, 8);
  header.sequence = get<std::uint64_t>(bytes, 12);
  header.length = get<std::uint32_t>(bytes, 20);
  header.payload_crc = get<std::uint32_t>(bytes, 24);
  if (name(header.type) == "?") {
    fail(Exit::data, "a frame of unknown type {}", static_cast<unsigned>(header.type));
  }
  if (get<std::uint16_t>(bytes, 6) != 0) {
    fail(Exit::data, "a {} frame with unknown flags", name(header.type));
  }
  if (header.length > max_length(header.type)) {
    fail(Exit::data, "a {} frame of {} bytes, and {} may be", name(header.type), header.length,
         max_length(header.type));
  }
  return header;
}

bool begins_frame(ByteView bytes) {
  return bytes.size() >= kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

Bytes encode_frame(Header header, ByteView payload) {
  if (payload.size() > max_length(header.type)) {
    fail(Exit::bug, "a {} message of {} bytes, and {} may be", name(header.type), payload.size(),
         max_length(header.type));
  }
  header.length = static_cast<std::uint32_t>(payload.size());
  header.payload_crc = checks_payload(header.type) ? crc32c(payload) : 0;
  const HeaderBytes head = encode_header(header);
  Bytes frame(head.size() + payload.size());
  std::copy(head.begin(), head.end(), frame.begin());
  std::copy(payload.begin(), payload.end(), frame.begin() + kHeaderBytes);
  return frame;
}

void check_payload(const Header& header, ByteView payload) {
  const std::uint32_t crc = checks_payload(header.type) ? crc32c(payload) : 0;
  if (payload.size() != header.length || header.payload_crc != crc) {
    fail(Exit::data, "a {} frame whose payload has a wrong checksum", name(header.type));
  }
}

}  // namespace dl::net
