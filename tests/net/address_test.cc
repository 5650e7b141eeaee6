// SPDX-License-Identifier: MIT
#include "net/address.h"

#include <doctest/doctest.h>

#include "base/error.h"

using namespace dl;
using net::Address;
using net::parse_address;

TEST_CASE("address: host and port") {
  CHECK(parse_address("node3:7000") == Address{"node3", 7000});
  CHECK(parse_address("127.0.0.1:0") == Address{"127.0.0.1", 0});
  CHECK(parse_address("[::1]:7000") == Address{"::1", 7000});
  CHECK(parse_address(":65535") == Address{"", 65535});
}

TEST_CASE("address: what is not HOST:PORT is refused with 64") {
  for (const char* text : {"", "host", "host:", "host:x", "host:-1", "host:65536", "host:70 ", "::1:7000",
                           "[::1]", "[::1:7000", "[]:1", "a b:1", "host:+1", "host:1:2"}) {
    CAPTURE(text);
    try {
      parse_address(text);
      FAIL("it was taken");
    } catch (const Error& e) {
      CHECK(e.code() == Exit::usage);
    }
  }
}

TEST_CASE("address: which ones no other host reaches") {
  for (const char* text : {"127.0.0.1:1", "127.3.2.1:0", "localhost:1", "[::1]:1"}) CHECK(is_loopback(parse_address(text)));
  for (const char* text : {":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "127.example.com:1", "node3:1", "[::12]:1"}) {
    CHECK_FALSE(is_loopback(parse_address(text)));
  }
}

TEST_CASE("address: an IPv6 address is shown in brackets") {
  CHECK(to_string(Address{"::1", 80}) == "[::1]:80");
  CHECK(to_string(Address{"a", 80}) == "a:80");
}
