// SPDX-License-Identifier: MIT
#include "base/workers.h"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>

using namespace dl;

TEST_CASE("workers: every member works once in each call") {
  for (const unsigned threads : {1U, 2U, 3U, 7U}) {
    Workers workers(threads);
    CHECK(workers.size() == threads);
    std::vector<std::atomic<int>> calls(threads);
    for (int round = 0; round < 1000; ++round) {
      workers.run([&](unsigned member) { ++calls[member]; });
    }
    for (const auto& n : calls) CHECK(n == 1000);
  }
}

TEST_CASE("workers: an exception of any member reaches the owner, and the team goes on") {
  Workers workers(3);
  CHECK_THROWS_AS(workers.run([](unsigned member) {
    if (member == 2) throw std::runtime_error("two");
  }),
                  std::runtime_error);
  std::atomic<int> calls{0};
  workers.run([&](unsigned) { ++calls; });
  CHECK(calls == 3);
}

TEST_CASE("workers: denormals are flushed in the team") {
  flush_denormals();
  Workers workers(2);
  std::atomic<bool> zero{true};
  workers.run([&](unsigned) {
    volatile float tiny = 1e-30F;
    volatile float product = tiny * 1e-10F;
    if (product != 0.0F) zero = false;
  });
  CHECK(zero);
}
