// SPDX-License-Identifier: MIT
#include "net/loop.h"

#include <doctest/doctest.h>

#include <csignal>
#include <vector>

#include "base/error.h"

using namespace dl;
using net::Loop;
using net::Milliseconds;

TEST_CASE("loop: work from other threads is done, and exceptions come back from call") {
  Loop loop;
  loop.start();
  int done = 0;
  loop.post([&] { ++done; });
  loop.call([&] {
    CHECK(loop.inside());
    ++done;
  });
  CHECK(done == 2);
  CHECK_FALSE(loop.inside());
  CHECK_THROWS_AS(loop.call([] { fail(Exit::data, "no"); }), Error);
  loop.stop();
  loop.call([&] { ++done; });
  CHECK(done == 3);
}

TEST_CASE("loop: an exception that leaves a callback is handed over, and the loop goes on") {
  Loop loop;
  std::vector<std::exception_ptr> got;
  loop.start([&](std::exception_ptr e) { got.push_back(e); });
  for (int i = 0; i < 2; ++i) {
    loop.post([] { fail(Exit::bug, "broken"); });
    int done = 0;
    loop.call([&] { done += loop.inside() ? 1 : 0; });
    CHECK(done == 1);
  }
  loop.stop();
  REQUIRE(got.size() == 2);
  for (const std::exception_ptr& each : got) CHECK_THROWS_AS(std::rethrow_exception(each), Error);
}

TEST_CASE("loop: signals arrive as calls, each time") {
  Loop loop;
  int got = 0;
  net::Signals signals(loop, {SIGUSR1}, [&](int number) {
    CHECK(number == SIGUSR1);
    if (++got == 2) {
      loop.stop();
    } else {
      ::raise(SIGUSR1);
    }
  });
  loop.post([] { ::raise(SIGUSR1); });
  loop.run();
  CHECK(got == 2);
}

TEST_CASE("loop: a timer that was set again or cancelled calls once or not at all") {
  Loop loop;
  int first = 0, second = 0, third = 0;
  net::Timer timer(loop), cancelled(loop), end(loop);
  timer.after(Milliseconds(1), [&] { ++first; });
  timer.after(Milliseconds(2), [&] { ++second; });
  cancelled.after(Milliseconds(1), [&] { ++third; });
  cancelled.cancel();
  end.after(Milliseconds(30), [&] { loop.stop(); });
  loop.run();
  CHECK(first == 0);
  CHECK(second == 1);
  CHECK(third == 0);
}
