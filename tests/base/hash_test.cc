// SPDX-License-Identifier: MIT
#include "base/hash.h"

#include <doctest/doctest.h>

#include "base/rng.h"

using namespace dl;

TEST_CASE("sha256: the examples of FIPS 180-2") {
  CHECK(sha256_hex(as_bytes_of("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 parts;
  parts.add(as_bytes_of("a"));
  parts.add(as_bytes_of("bc"));
  CHECK(parts.hex() == sha256_hex(as_bytes_of("abc")));
}

TEST_CASE("crc32c: the check value and RFC 3720's zeros") {
  CHECK(crc32c(as_bytes_of("123456789")) == 0xE3069283);
  CHECK(crc32c(Bytes(32)) == 0x8A9136AA);
  CHECK(crc32c({}) == 0);
}

TEST_CASE("crc32c: instruction and table agree, whole and continued") {
  Rng rng(1, Purpose::test);
  for (std::size_t length = 0; length < 100; ++length) {
    Bytes bytes(length);
    for (std::byte& b : bytes) b = static_cast<std::byte>(rng.next());
    CHECK(crc32c(bytes) == crc32c_portable(bytes));
    const std::size_t cut = length / 3;
    const ByteView view(bytes);
    CHECK(crc32c(view.subspan(cut), crc32c(view.first(cut))) == crc32c(bytes));
    CHECK(crc32c_portable(view.subspan(cut), crc32c(view.first(cut))) == crc32c(bytes));
  }
}
