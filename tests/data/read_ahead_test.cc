// SPDX-License-Identifier: MIT
#include "data/read_ahead.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "base/rng.h"

using namespace dl;
using namespace dl::data;

namespace {

// Gives these bytes, then the end, or what `fails` says.
ReadAhead::Source source_of(const std::string& bytes, bool fails) {
  return [&bytes, fails, at = std::size_t{0}](char* to, std::size_t most) mutable {
    const std::size_t n = std::min(most, bytes.size() - at);
    if (fails && n < most && at == bytes.size()) throw std::runtime_error("damaged");
    std::copy_n(bytes.data() + at, n, to);
    at += n;
    return n;
  };
}

}  // namespace

TEST_CASE("read ahead: the same bytes, whatever pieces are asked for") {
  Rng rng(1, Purpose::test);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1} << 20, (std::size_t{5} << 20) + 7}) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(rng.next());
    ReadAhead ahead(source_of(bytes, false));
    std::string got;
    for (std::string piece;; got += piece) {
      piece.resize(1 + rng.below(3 << 20));
      const std::size_t wanted = piece.size();
      piece.resize(ahead.read(piece.data(), wanted));
      if (piece.size() == wanted) continue;
      got += piece;
      break;
    }
    CHECK(got == bytes);
    char more = 0;
    CHECK(ahead.read(&more, 1) == 0);
  }
}

TEST_CASE("read ahead: what goes wrong comes behind the bytes before it, again and again") {
  const std::string bytes(std::size_t{2} << 20, 'x');
  ReadAhead ahead(source_of(bytes, true));
  std::string got(bytes.size() + 100, '\0');
  CHECK(ahead.read(got.data(), got.size()) == bytes.size());
  CHECK_THROWS_WITH(ahead.read(got.data(), 1), "damaged");
  CHECK_THROWS_WITH(ahead.read(got.data(), 1), "damaged");
}

TEST_CASE("read ahead: it can be left at any moment") {
  const std::string bytes(std::size_t{9} << 20, 'x');
  for (int i = 0; i < 20; ++i) {
    ReadAhead ahead(source_of(bytes, i % 2 == 0));
    std::string some(static_cast<std::size_t>(i) << 17, '\0');
    CHECK(ahead.read(some.data(), some.size()) == some.size());
  }
}
