// SPDX-License-Identifier: MIT
#include "comm/links.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/clock.h"

namespace dl::comm {

namespace {

constexpr int kTimes = 5;
constexpr int kTimesLong = 3;
constexpr std::uint64_t kBytes = 256 * 1024;  // that a rank receives
constexpr std::uint64_t kLeast = 4096;        // from each

// Seconds of one call: the median of so many, after one that wakes whoever sleeps.
template <typename Work>
double median_seconds(int times, const Work& work) {
  work();
  std::vector<double> seconds;
  for (int i = 0; i < times; ++i) {
    const std::int64_t begin = monotonic_ns();
    work();
    seconds.push_back(seconds_between(begin, monotonic_ns()));
  }
  std::ranges::nth_element(seconds, seconds.begin() + times / 2);
  return seconds[static_cast<std::size_t>(times / 2)];
}

}  // namespace

LinkCost measure_links(Communicator& group) {
  const std::uint32_t ranks = group.size();
  const std::vector<std::uint32_t> none(ranks, 0);
  std::array<double, 3> mine{};
  mine[0] = median_seconds(kTimes, [&] { group.gather({}, none); });
  // Pairs; of an odd number one has nobody.
  if (const std::uint32_t partner = group.rank() ^ 1U; partner < ranks) {
    mine[1] = median_seconds(kTimes, [&] {
      group.send(partner, 0, {});
      group.take(true);
    });
  }
  const auto each = std::max(kLeast, kBytes / (ranks - 1));
  const std::vector<std::uint32_t> sizes(ranks, static_cast<std::uint32_t>(each));
  const Bytes bytes(each);
  const double with_bytes = median_seconds(kTimesLong, [&] { group.gather(bytes, sizes); });
  mine[2] = std::max(0.0, with_bytes - mine[0]) / static_cast<double>(each * (ranks - 1));

  const std::vector<std::uint32_t> records(ranks, sizeof mine);
  const ByteView all = group.gather(std::as_bytes(std::span(mine)), records);
  std::array<double, 3> worst{};
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    std::array<double, 3> one{};
    std::memcpy(one.data(), all.data() + rank * sizeof one, sizeof one);
    for (std::size_t i = 0; i < worst.size(); ++i) worst[i] = std::max(worst[i], one[i]);
  }
  return {worst[0], worst[1], worst[2]};
}

}  // namespace dl::comm
