// SPDX-License-Identifier: MIT
// The frame around every message: 32 bytes, then the payload. Pure functions, no sockets.
//
//   offset  bytes  field
//        0      4  magic "dlfr"
//        4      1  version of the framing, 1
//        5      1  type (net/message.h)
//        6      2  flags, 0 in version 1
//        8      4  generation of the group; 0 where there is none
//       12      8  sequence (see below)
//       20      4  length of the payload
//       24      4  CRC-32C of the payload; 0 for what is long (part, result, message)
//       28      4  CRC-32C of the 28 bytes before
//
// All numbers are little-endian. Frames between coordinator and node are numbered from 0 in each
// direction; frames of the mesh carry what comm/tcp puts there.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "net/message.h"

namespace dl::net {

inline constexpr std::size_t kHeaderBytes = 32;
inline constexpr std::uint8_t kFrameVersion = 1;

struct Header {
  Type type = Type::hello;
  std::uint32_t generation = 0;
  std::uint64_t sequence = 0;
  std::uint32_t length = 0;
  std::uint32_t payload_crc = 0;
  bool operator==(const Header&) const = default;
};

// The longest payload that a frame of this type may have.
std::uint32_t max_length(Type type);

// Payloads that go straight to a place which the receiver names: part, result, record, gather,
// message.
bool is_bulk(Type type);
// Whether the payload has a checksum: all but part, result and message.
bool checks_payload(Type type);

using HeaderBytes = std::array<std::byte, kHeaderBytes>;
HeaderBytes encode_header(const Header& header);

// Fails with 65 on a wrong magic, checksum, type, flag, or a length beyond the type's, and with 76 on
// another version of the framing.
Header decode_header(std::span<const std::byte, kHeaderBytes> bytes);

// Whether somebody speaks frames at all, without TLS: looks at the first four bytes.
bool begins_frame(ByteView bytes);

// Header and payload of a control message, checksums included.
Bytes encode_frame(Header header, ByteView payload);
// Fails with 65 where the payload is not the one that the header was made for.
void check_payload(const Header& header, ByteView payload);

}  // namespace dl::net
