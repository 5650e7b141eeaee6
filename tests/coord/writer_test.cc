// SPDX-License-Identifier: MIT
#include "coord/writer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <future>

using namespace dl;
using namespace dl::coord;

namespace {

// Puts states while the first one is being written; what was written in the end, in order.
std::vector<std::pair<std::uint64_t, StateReason>> written(
    const std::vector<std::pair<std::uint64_t, StateReason>>& put) {
  net::Loop loop;
  loop.start();
  std::promise<void> begun, go_on, ended;
  std::vector<std::pair<std::uint64_t, StateReason>> all;
  {
    std::optional<Writer> writer;
    const std::uint64_t last = put.back().first;
    loop.call([&] {
      writer.emplace(
          loop,
          [&](const State& state, StateReason, const std::string&) {
            if (state.step == put.front().first) {
              begun.set_value();
              go_on.get_future().wait();
            }
            return std::to_string(state.step);
          },
          [&](const Event& event) {
            const auto& one = std::get<event::Written>(event);
            all.emplace_back(one.step, one.reason);
            CHECK(one.path == std::to_string(one.step));
            if (one.step == last) ended.set_value();
          });
    });
    const auto give = [&](const std::pair<std::uint64_t, StateReason>& one) {
      loop.call([&] {
        writer->put(std::make_shared<const State>(State{one.first, one.second, "", {}}), one.second, "defined");
      });
    };
    give(put.front());
    begun.get_future().wait();
    for (std::size_t i = 1; i < put.size(); ++i) give(put[i]);
    go_on.set_value();
    ended.get_future().wait();
    loop.call([&] { writer.reset(); });
  }
  loop.stop();
  return all;
}

}  // namespace

TEST_CASE("writer: a slow disk gets the newest checkpoints, not all of them") {
  std::vector<std::pair<std::uint64_t, StateReason>> put;
  for (std::uint64_t step = 1; step <= 100; ++step) put.emplace_back(step, StateReason::checkpoint);
  const auto got = written(put);
  REQUIRE(got.size() == 1 + Writer::kMostWaiting);
  CHECK(got.front().first == 1);
  for (std::size_t i = 1; i < got.size(); ++i) CHECK(got[i].first == 96 + i);
}

TEST_CASE("writer: the best one and the last one are never left out for others") {
  std::vector<std::pair<std::uint64_t, StateReason>> put;
  for (std::uint64_t step = 1; step <= 50; ++step) {
    put.emplace_back(step, StateReason::checkpoint);
    if (step == 7) put.emplace_back(step, StateReason::best);
  }
  put.emplace_back(51, StateReason::final_state);
  const auto got = written(put);
  CHECK(std::find(got.begin(), got.end(), std::pair{std::uint64_t{7}, StateReason::best}) != got.end());
  CHECK(got.back() == std::pair{std::uint64_t{51}, StateReason::final_state});
}
