// SPDX-License-Identifier: MIT
#include "base/file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>

#include "base/error.h"
#include "support/scratch.h"

using namespace dl;

namespace {

std::size_t entries(const fs::path& directory) {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(directory)) ++n;
  return n;
}

}  // namespace

TEST_CASE("file: an uncommitted file leaves nothing, a committed one is whole") {
  const test::Scratch dir;
  {
    AtomicFile file(dir / "a");
    file.write(as_bytes_of("half"));
  }
  CHECK(entries(dir.path()) == 0);
  AtomicFile file(dir / "a");
  file.write(as_bytes_of("____-tail"));
  file.write_at(0, as_bytes_of("head"));
  CHECK_FALSE(fs::exists(dir / "a"));
  file.commit();
  CHECK(read_file(dir / "a", 100) == "head-tail");
  CHECK(entries(dir.path()) == 1);
}

TEST_CASE("file: the old content stays until the new one is committed") {
  const test::Scratch dir;
  write_file(dir / "a", "old");
  AtomicFile file(dir / "a");
  file.write(as_bytes_of("new"));
  CHECK(read_file(dir / "a", 100) == "old");
  file.commit();
  CHECK(read_file(dir / "a", 100) == "new");
}

TEST_CASE("file: a write that fails throws 74 and leaves the old file") {
  const test::Scratch dir;
  write_file(dir / "a", "old");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  bool threw = false;
  try {
    AtomicFile file(dir / "a");
    file.write(Bytes(8192));
    file.commit();
  } catch (const Error&) {
    threw = true;
  }
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(threw);
  CHECK(read_file(dir / "a", 100) == "old");
  CHECK(entries(dir.path()) == 1);
}

TEST_CASE("file: missing input is 66, an over-long one 65, a missing directory 73") {
  const test::Scratch dir;
  const auto code = [](auto&& what) {
    try {
      what();
    } catch (const Error& e) {
      return e.code();
    }
    return Exit::ok;
  };
  CHECK(code([&] { read_file(dir / "none", 10); }) == Exit::no_input);
  CHECK(code([&] { MappedFile(dir / "none"); }) == Exit::no_input);
  CHECK(code([&] { MappedFile{dir.path()}; }) == Exit::no_input);
  write_file(dir / "long", "0123456789a");
  CHECK(code([&] { read_file(dir / "long", 10); }) == Exit::data);
  CHECK(code([&] { AtomicFile(dir / "no" / "a"); }) == Exit::cannot_create);
}

TEST_CASE("file: a map shows the bytes, also of an empty file") {
  const test::Scratch dir;
  write_file(dir / "a", "xyz");
  write_file(dir / "empty", "");
  MappedFile map(dir / "a");
  CHECK(map.bytes().size() == 3);
  MappedFile moved = std::move(map);
  CHECK(static_cast<char>(moved.bytes()[2]) == 'z');
  CHECK(MappedFile(dir / "empty").bytes().empty());
}

TEST_CASE("file: one lock at a time") {
  const test::Scratch dir;
  auto first = FileLock::try_lock(dir / "lock");
  REQUIRE(first);
  CHECK_FALSE(FileLock::try_lock(dir / "lock"));
  first.reset();
  CHECK(FileLock::try_lock(dir / "lock"));
}
