// SPDX-License-Identifier: MIT
#include "comm/tree_sum.h"

#include <doctest/doctest.h>

#include <cstring>

#include "comm/layout.h"
#include "ranks.h"

using namespace dl;
using test::Problem;

TEST_CASE("tree sum: parts of any shape give the serial bits, in place too") {
  for (std::uint32_t shards = 1; shards <= 40; ++shards) {
    for (std::uint32_t ranks = 1; ranks <= 3; ++ranks) {
      Problem problem = test::dealt(shards, ranks, 7);
      problem.buckets = {{0, 2500}};
      const comm::Parts parts(problem.plan());
      std::vector<std::vector<float>> values;
      std::vector<const float*> pointers;
      for (const ShardRange range : parts.ranges()) {
        values.emplace_back(2500);
        for (std::size_t i = 0; i < 2500; ++i) values.back()[i] = Problem::sum(0, range, i);
      }
      for (const auto& part : values) pointers.push_back(part.data());
      const comm::TreeSum sum(shards, parts.ranges());
      const auto total = problem.total(0);
      std::vector<float> out(2500);
      sum.add(pointers, out.data(), out.size());
      CHECK(std::memcmp(out.data(), total.data(), 10000) == 0);
      sum.add(pointers, values[values.size() / 2].data(), 2500);
      CHECK(std::memcmp(values[values.size() / 2].data(), total.data(), 10000) == 0);
    }
  }
}

TEST_CASE("tree sum: no part at all gives zeros") {
  const comm::TreeSum sum(0, {});
  std::vector<float> out(10, 1.0F);
  sum.add({}, out.data(), out.size());
  CHECK(out == std::vector<float>(10, 0.0F));
}

TEST_CASE("layout: pieces tile the buckets, slices tile the pieces in whole lines") {
  for (std::uint32_t ranks = 2; ranks <= 5; ++ranks) {
    Problem problem = test::dealt(8, ranks, 1);
    problem.buckets = {{3, 3}, {3, 20}, {20, 21}, {50, 100000}};
    const comm::SumPlan plan = problem.plan();
    const std::vector<comm::Collective> direct(plan.buckets.size(), comm::Collective::direct);
    const comm::Layout layout(plan, comm::cut_of(plan.ranks(), {.one_round_bytes = 0, .piece_bytes = 4096}), direct);
    for (std::size_t b = 0; b < problem.buckets.size(); ++b) {
      std::uint64_t at = problem.buckets[b].first;
      for (std::uint32_t p = layout.first_piece(b); p < layout.last_piece(b); ++p) {
        const comm::Piece& piece = layout.pieces()[p];
        CHECK(piece.bucket == b);
        CHECK(piece.begin == at);
        CHECK(piece.size() > 0);
        std::uint64_t slice_at = at;
        for (std::uint32_t rank = 0; rank < ranks; ++rank) {
          const comm::Slice slice = layout.slice(piece, rank);
          CHECK(slice.begin == slice_at);
          CHECK(slice.size() <= 4096 / 4 + 16);
          CHECK(((slice.begin - piece.begin) % 16 == 0 || slice.size() == 0));
          slice_at = slice.end;
        }
        CHECK(slice_at == piece.end);
        at = piece.end;
      }
      CHECK(at == problem.buckets[b].second);
    }
  }
}
