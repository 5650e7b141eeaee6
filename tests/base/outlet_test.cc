// SPDX-License-Identifier: MIT
#include "base/outlet.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sstream>
#include <string>
#include <utility>

using namespace dl;
using namespace std::chrono_literals;

namespace {

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  void close_reader() { ::close(std::exchange(ends[0], -1)); }
  void close_writer() { ::close(std::exchange(ends[1], -1)); }
  std::string read_some() const {
    std::string text(4096, '\0');
    const ssize_t n = ::read(ends[0], text.data(), text.size());
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return text;
  }
  std::string read_until(std::string_view end) const {
    std::string text;
    while (!text.ends_with(end)) {
      const std::string more = read_some();
      if (more.empty()) break;
      text += more;
    }
    return text;
  }
  std::array<int, 2> ends{-1, -1};
};

std::string gap(std::uint64_t lines) { return fmt::format("({} left out)\n", lines); }
std::string line(int i) { return fmt::format("line {}\n", i); }

}  // namespace

TEST_CASE("outlet: a reader that comes late gets every line, and nobody waits for it") {
  Pipe pipe;
  Outlet outlet(pipe.ends[1], gap);
  std::string all;
  for (int i = 0; i < 50'000; ++i) {  // far more than a pipe holds
    outlet.put(line(i));
    all += line(i);
  }
  CHECK_FALSE(outlet.idle());
  CHECK_FALSE(outlet.drain(10ms));
  CHECK(pipe.read_until(line(49'999)) == all);
  CHECK(outlet.drain(std::nullopt));
  CHECK(outlet.idle());
  CHECK(outlet.loss().lines == 0);
}

TEST_CASE("outlet: what is too much is left out from the oldest on, and its place says how much") {
  Pipe pipe;
  Outlet outlet(pipe.ends[1], gap, 1000);
  constexpr int kLines = 50'000;
  for (int i = 0; i < kLines; ++i) outlet.put(line(i));
  std::istringstream text(pipe.read_until(line(kLines - 1)));
  std::uint64_t left_out = 0;
  int next = 0, after_gap = 0;
  for (std::string one; std::getline(text, one);) {
    if (one.starts_with("(")) {
      const int lines = std::stoi(one.substr(1));
      CHECK(one + "\n" == gap(static_cast<std::uint64_t>(lines)));
      left_out += static_cast<std::uint64_t>(lines);
      next += lines;
      after_gap = 0;
    } else {
      REQUIRE(one + "\n" == line(next++));
      ++after_gap;
    }
  }
  CHECK(next == kLines);
  CHECK(left_out > 1000);
  CHECK(outlet.loss().lines == left_out);
  CHECK(after_gap > 50);  // the newest ones are there
}

TEST_CASE("outlet: a line longer than the bound is written all the same") {
  Pipe pipe;
  Outlet outlet(pipe.ends[1], gap, 10);
  const std::string longest = std::string(200'000, 'x') + "\n";
  outlet.put(longest);
  CHECK(pipe.read_until("\n") == longest);
}

TEST_CASE("outlet: a reader that left is no failure, and nothing is kept for it") {
  Pipe pipe;
  Outlet outlet(pipe.ends[1], gap);
  for (int i = 0; i < 50'000; ++i) outlet.put(line(i));
  pipe.close_reader();
  CHECK(outlet.drain(std::nullopt));
  outlet.put(line(0));
  CHECK(outlet.idle());
  CHECK(outlet.loss().lines == 0);
  CHECK(outlet.loss().error_number == 0);
}

TEST_CASE("outlet: it ends although its reader stands still") {
  Pipe pipe;
  {
    Outlet outlet(pipe.ends[1], gap);
    for (int i = 0; i < 50'000; ++i) outlet.put(line(i));
    CHECK_FALSE(outlet.drain(10ms));
    CHECK(outlet.loss().lines > 0);
  }
  pipe.close_reader();  // lets the thread go
}

TEST_CASE("outlet: a write that fails is remembered") {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  REQUIRE(full >= 0);
  Outlet outlet(full, gap);
  outlet.put(line(1));
  outlet.put(line(2));
  CHECK(outlet.drain(std::nullopt));
  CHECK(outlet.loss().lines == 2);
  CHECK(outlet.loss().error_number == ENOSPC);
  ::close(full);
}

TEST_CASE("outlet: a descriptor that does not block is waited for") {
  Pipe pipe;
  REQUIRE(::fcntl(pipe.ends[1], F_SETFL, O_NONBLOCK) == 0);
  Outlet outlet(pipe.ends[1], gap);
  std::string all;
  for (int i = 0; i < 20'000; ++i) {
    outlet.put(line(i));
    all += line(i);
  }
  CHECK(pipe.read_until(line(19'999)) == all);
  CHECK(outlet.loss().error_number == 0);
}
