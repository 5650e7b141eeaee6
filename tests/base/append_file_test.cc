// SPDX-License-Identifier: MIT
#include "base/append_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>

#include "base/error.h"
#include "support/scratch.h"

using namespace dl;

TEST_CASE("append file: what is there stays, what comes is behind it, and what is cut is gone") {
  const test::Scratch dir;
  {
    AppendFile file(dir / "log");
    CHECK(file.size() == 0);
    file.append(as_bytes_of("one"));
    file.append(as_bytes_of("two"));
    file.sync();
  }
  AppendFile file(dir / "log");
  CHECK(file.size() == 6);
  file.cut(3);
  file.append(as_bytes_of("three"));
  file.sync();
  CHECK(read_file(dir / "log", 100) == "onethree");
}

TEST_CASE("append file: a record that the disk has no room for leaves nothing, and may be tried again") {
  const test::Scratch dir;
  AppendFile file(dir / "log");
  file.append(as_bytes_of("whole"));
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{8, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  Exit code = Exit::ok;
  try {
    file.append(as_bytes_of("too long"));
  } catch (const Error& e) {
    code = e.code();
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old);
  CHECK(code == Exit::io);
  CHECK(read_file(dir / "log", 100) == "whole");
  file.append(as_bytes_of("too long"));
  CHECK(read_file(dir / "log", 100) == "wholetoo long");
}

TEST_CASE("append file: a directory that is not there is 73") {
  const test::Scratch dir;
  try {
    AppendFile(dir / "no" / "log");
    FAIL("it was opened");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::cannot_create);
  }
}
