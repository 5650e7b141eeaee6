// SPDX-License-Identifier: MIT
#include "net/frame.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/hash.h"

using namespace dl;
using net::Header;
using net::Type;

namespace {

Bytes heartbeat() {
  Bytes payload;
  put<std::uint64_t>(payload, 42);
  Header header;
  header.type = Type::heartbeat;
  header.generation = 3;
  header.sequence = 5;
  return net::encode_frame(header, payload);
}

// The whole frame or an Error's code.
Exit read(ByteView frame) {
  try {
    if (frame.size() < net::kHeaderBytes) return Exit::data;  // a reader waits for the rest
    const Header header = net::decode_header(frame.first<net::kHeaderBytes>());
    net::check_payload(header, frame.subspan(net::kHeaderBytes));
  } catch (const Error& e) {
    return e.code();
  }
  return Exit::ok;
}

std::string hex(ByteView bytes) {
  std::string out;
  for (const std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

// A header with one field changed and a checksum that fits.
Bytes forged(std::size_t at, std::uint8_t value) {
  Bytes frame = heartbeat();
  frame[at] = std::byte{value};
  const std::uint32_t crc = crc32c(ByteView(frame).first(28));
  std::memcpy(frame.data() + 28, &crc, 4);
  return frame;
}

}  // namespace

TEST_CASE("frame: the bytes of version 1") {
  CHECK(hex(heartbeat()) ==
        "646c6672"          // dlfr
        "01"                // version
        "0d"                // heartbeat
        "0000"              // flags
        "03000000"          // generation
        "0500000000000000"  // sequence
        "08000000"          // length
        "87296b51"          // CRC-32C of the payload
        "53142022"          // CRC-32C of the header
        "2a00000000000000");
}

TEST_CASE("frame: what was encoded is decoded") {
  Header header;
  header.type = Type::part;
  header.generation = 0xffffffff;
  header.sequence = 0x0102030405060708;
  header.length = 1 << 30;
  CHECK(net::decode_header(net::encode_header(header)) == header);
  CHECK(read(heartbeat()) == Exit::ok);
}

TEST_CASE("frame: every truncation is refused") {
  const Bytes whole = heartbeat();
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK(read(ByteView(whole).first(n)) == Exit::data);
}

TEST_CASE("frame: every flipped bit is refused") {
  const Bytes whole = heartbeat();
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes bad = whole;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    CHECK(read(bad) == Exit::data);
  }
}

TEST_CASE("frame: another version is a disagreement, not damage") {
  CHECK(read(forged(4, 2)) == Exit::disagree);
}

TEST_CASE("frame: unknown types and flags are refused") {
  for (const std::uint8_t type : {0, 24, 31, 37, 255}) CHECK(read(forged(5, type)) == Exit::data);
  CHECK(read(forged(6, 1)) == Exit::data);
  CHECK(read(forged(7, 0x80)) == Exit::data);
}

TEST_CASE("frame: a length beyond the type's is refused") {
  for (int type = 0; type < 256; ++type) {
    Header header;
    header.type = static_cast<Type>(type);
    if (net::name(header.type) == "?") continue;
    header.length = net::max_length(header.type);
    CHECK(net::decode_header(net::encode_header(header)) == header);
    ++header.length;
    CHECK_THROWS_AS(net::decode_header(net::encode_header(header)), Error);
  }
}

TEST_CASE("frame: random bytes are refused") {
  std::uint64_t state = 1;
  for (int i = 0; i < 10000; ++i) {
    Bytes bytes(64);
    for (std::byte& b : bytes) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      b = static_cast<std::byte>(state >> 56);
    }
    if (i % 2 == 0) std::memcpy(bytes.data(), "dlfr\x01\x01\0\0", 8);
    CHECK(read(bytes) == Exit::data);
  }
}
