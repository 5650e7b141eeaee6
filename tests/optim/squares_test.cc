// SPDX-License-Identifier: MIT
#include "optim/squares.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/rng.h"
#include "optim/optimizer.h"

using namespace dl;
using namespace dl::optim;

TEST_CASE("squares: shares of any cuts add up to the bits of the whole") {
  Rng rng(1, Purpose::test);
  for (const std::uint64_t size : {1ULL, 4096ULL, 4097ULL, 20000ULL}) {
    std::vector<float> gradient(size);
    for (float& g : gradient) g = rng.uniform(-1.0F, 1.0F);
    const double wanted = sum_of_squares(gradient);
    const std::vector<std::vector<std::uint64_t>> all_cuts = {
        {}, {1}, {4096}, {4095, 4097}, {10, 20, 30}, {100, 12288, 12300, 12301, 19999}};
    for (const std::vector<std::uint64_t>& cuts : all_cuts) {
      std::vector<HeldRange> ranges;
      std::uint64_t begin = 0;
      for (const std::uint64_t cut : cuts) {
        if (cut < size) ranges.push_back({begin, cut, size}), begin = cut;
      }
      ranges.push_back({begin, size, size});
      Bytes all, share;
      for (const HeldRange& range : ranges) {
        write_squares_share(range, std::span(gradient).subspan(range.begin, range.end - range.begin), share);
        CHECK(share.size() == squares_share_bytes(range));
        all.insert(all.end(), share.begin(), share.end());
      }
      CHECK(sum_of_shares(ranges, all) == wanted);
    }
  }
}

TEST_CASE("squares: each range counts by its scale, also in the block that a border cuts") {
  const std::vector<float> gradient(10000, 2.0F);
  const std::vector<HeldRange> ranges = {{0, 6000, 10000}, {6000, 6000, 10000}, {6000, 10000, 10000}};
  Bytes all, one;
  for (const HeldRange& range : ranges) {
    write_squares_share(range, std::span(gradient).subspan(range.begin, range.end - range.begin), one);
    all.insert(all.end(), one.begin(), one.end());
  }
  const double scales[] = {0.5, 7, 3};
  CHECK(sum_of_shares(ranges, all, scales) == 6000 * 1.0 + 4000 * 36.0);
}
