// SPDX-License-Identifier: MIT
#include "base/bytes.h"

#include <doctest/doctest.h>

#include "base/error.h"

using namespace dl;

TEST_CASE("bytes: numbers come back as they were put") {
  Bytes out;
  put<std::uint32_t>(out, 0x01020304);
  put<double>(out, -2.5);
  put_text(out, "abc");
  CHECK(static_cast<int>(out[0]) == 4);
  ByteReader in(out, "buffer");
  CHECK(in.get<std::uint32_t>() == 0x01020304);
  CHECK(in.get<double>() == -2.5);
  CHECK(in.text(3) == "abc");
  CHECK(in.left() == 0);
}

TEST_CASE("bytes: a read past the end is refused and says where") {
  const Bytes three(3);
  ByteReader in(three, "buffer");
  in.get<std::uint16_t>();
  CHECK_THROWS_WITH_AS(in.get<std::uint16_t>(),
                       "buffer: cut short: 2 bytes wanted at offset 2, 1 left", Error);
}
