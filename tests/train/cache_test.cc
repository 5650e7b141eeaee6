// SPDX-License-Identifier: MIT
#include "train/cache.h"

#include <doctest/doctest.h>

#include <chrono>

#include "base/error.h"
#include "base/hash.h"
#include "support/scratch.h"

using namespace dl;
using train::Cache;

TEST_CASE("cache: what was committed is found; what is damaged, longer or half is not") {
  const test::Scratch dir;
  const std::string text = "rows";
  const std::string digest = sha256_hex(as_bytes_of(text));
  const Cache cache(dir / "deep" / "dl");
  CHECK_FALSE(cache.find(digest, 100));
  CHECK_FALSE(fs::exists(dir / "deep"));
  {
    AtomicFile half = cache.begin(digest);
    half.write(as_bytes_of("ro"));
    CHECK_FALSE(cache.find(digest, 100));
  }
  AtomicFile one = cache.begin(digest), other = cache.begin(digest);  // two processes
  one.write(as_bytes_of(text));
  other.write(as_bytes_of(text));
  one.commit();
  CHECK(cache.find(digest, 4) == dir / "deep" / "dl" / digest);
  other.commit();
  CHECK(cache.find(digest, 4));
  CHECK_FALSE(cache.find(digest, 3));
  CHECK(fs::status(dir / "deep" / "dl").permissions() == fs::perms::owner_all);
  write_file(dir / "deep" / "dl" / digest, "Rows");
  CHECK_FALSE(cache.find(digest, 100));
}

TEST_CASE("cache: what a killed process left is swept away a day later, and nothing else is") {
  const test::Scratch dir;
  const auto days_ago = fs::file_time_type::clock::now() - std::chrono::hours(48);
  for (const char* name : {".old.1.0.tmp", ".new.2.0.tmp", "old"}) write_file(dir / name, "x");
  fs::last_write_time(dir / ".old.1.0.tmp", days_ago);
  fs::last_write_time(dir / "old", days_ago);
  Cache(dir.path()).begin("a");
  CHECK_FALSE(fs::exists(dir / ".old.1.0.tmp"));
  CHECK(fs::exists(dir / ".new.2.0.tmp"));
  CHECK(fs::exists(dir / "old"));
}

TEST_CASE("cache: a directory that cannot be made is 73, and says what to do") {
  const test::Scratch dir;
  write_file(dir / "file", "");
  try {
    Cache(dir / "file" / "dl").begin("a");
    FAIL("made");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::cannot_create);
    CHECK(std::string(error.what()).find("--cache DIR") != std::string::npos);
  }
}
