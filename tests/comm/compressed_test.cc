// SPDX-License-Identifier: MIT
#include "comm/compressed.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "comm/codec_kernels.h"
#include "ranks.h"

using namespace dl;
using namespace dl::comm;

namespace {

constexpr std::uint32_t kRecord = 8;
constexpr std::uint64_t kFirstRound = 5;
// 40 x 50 weights, 40 biases, 10 x 40 weights, 10 biases; buckets in the order of a backward pass.
constexpr std::uint64_t kSize = 2450;
const std::vector<WeightMatrix> kMatrices = {{0, 40, 50}, {2040, 10, 40}};
const std::vector<SumPlan::Bucket> kBuckets = {{2040, 2450}, {0, 1000}, {1000, 2040}};

using Owners = std::vector<std::vector<std::uint32_t>>;  // groups by rank

SumPlan plan_of(std::uint32_t groups, const Owners& owners) {
  SumPlan plan;
  plan.shards = groups;
  plan.buckets = kBuckets;
  plan.record_bytes = kRecord;
  for (const auto& own : owners) {
    auto& parts = plan.parts_of_rank.emplace_back();
    for (const std::uint32_t g : own) parts.push_back({g, g + 1});
  }
  return plan;
}

Compression compression_of(std::string_view text) {
  return {.settings = {.spec = parse_compression(text), .seed = 3, .momentum = 0.5F, .rounds_per_epoch = 2},
          .matrices = kMatrices};
}

// What is kept for all groups, as a run keeps it.
struct Kept {
  Kept(std::uint32_t groups, const Compression& compression)
      : residual(groups, std::vector<float>(kSize)),
        velocity(groups, std::vector<float>(has_velocity(compression) ? kSize : 0)),
        basis(basis_size(compression)) {}
  std::vector<std::vector<float>> residual, velocity;
  std::vector<float> basis;
  bool operator==(const Kept&) const = default;
};

float gradient(std::uint64_t round, std::uint32_t group, std::uint64_t element) {
  return test::Problem::leaf(static_cast<std::uint32_t>(round), group, element);
}

// Trains nothing: adds `rounds` rounds. `kept` is that of this rank; only the own groups' vectors are touched.
void add_rounds(Communicator& end, std::span<const std::uint32_t> own, std::uint64_t first, std::uint64_t rounds,
                std::vector<std::vector<float>>& results) {
  for (std::uint64_t round = first; round < first + rounds; ++round) {
    end.post(test::record_of(kRecord, static_cast<std::uint32_t>(round), end.rank()));
    for (std::size_t b = 0; b < kBuckets.size(); ++b) {
      for (std::size_t i = 0; i < own.size(); ++i) {
        for (std::uint64_t e = kBuckets[b].begin; e < kBuckets[b].end; ++e) end.part(i)[e] = gradient(round, own[i], e);
      }
      end.start(b);
    }
    end.collect();
    for (std::size_t b = 0; b < kBuckets.size(); ++b) end.wait(b);
    results.emplace_back(end.result().begin(), end.result().end());
  }
}

struct Run {
  std::vector<std::vector<float>> results;  // by round
  Kept kept;
};

CompressionState state_of(Kept& kept, std::span<const std::uint32_t> own, std::span<float> basis) {
  CompressionState state;
  for (const std::uint32_t g : own) state.groups.push_back({kept.residual[g], kept.velocity[g]});
  state.basis = basis;
  return state;
}

// Rounds of a group of threads, from what is kept of the ones before; all ranks must agree.
Run run(std::string_view text, std::uint32_t groups, const Owners& owners, Kept kept, std::uint64_t first,
        std::uint64_t rounds) {
  const Compression compression = compression_of(text);
  const auto ranks = static_cast<std::uint32_t>(owners.size());
  std::unique_ptr<LocalGroup> group;
  std::vector<std::vector<float>> bases(ranks, kept.basis);
  std::vector<std::vector<std::vector<float>>> results(ranks);
  std::mutex making;
  const auto thrown = test::as_threads(ranks, [&](std::uint32_t rank) {
    flush_denormals();
    const auto end = make_compressed(plan_of(groups, owners), compression, state_of(kept, owners[rank], bases[rank]),
                                     first, [&](const SumPlan& plan) {
                                       const std::lock_guard lock(making);
                                       if (!group) group = std::make_unique<LocalGroup>(plan);
                                       return group->rank(rank);
                                     });
    add_rounds(*end, owners[rank], first, rounds, results[rank]);
  });
  for (const std::string& what : thrown) REQUIRE(what == "");
  for (std::uint32_t r = 1; r < ranks; ++r) {
    CHECK(results[r] == results[0]);
    CHECK(bases[r] == bases[0]);
  }
  kept.basis = bases[0];
  return {results[0], kept};
}

Run run(std::string_view text, std::uint32_t groups, const Owners& owners, std::uint64_t rounds) {
  return run(text, groups, owners, Kept(groups, compression_of(text)), kFirstRound, rounds);
}

const std::vector<Owners> kMaps = {{{0, 1, 2, 3}},       {{0, 1}, {2, 3}}, {{1, 3}, {0, 2}}, {{1}, {0, 2, 3}},
                                   {{0}, {1, 2}, {3}}, {{2}, {0}, {3}, {1}}};
const char* const kAll[] = {"bf16", "int8", "topk=0.01", "powersgd=2"};

}  // namespace

TEST_CASE("compressed: the same bits on every rank, for any ranks and any map of groups") {
  for (const char* text : kAll) {
    CAPTURE(text);
    const Run wanted = run(text, 4, kMaps[0], 5);
    for (const Owners& owners : kMaps) {
      const Run found = run(text, 4, owners, 5);
      CHECK(found.results == wanted.results);
      CHECK(found.kept == wanted.kept);
    }
  }
}

TEST_CASE("compressed: rounds that go on with what was kept, elsewhere, are rounds that never stopped") {
  for (const char* text : kAll) {
    CAPTURE(text);
    const Run wanted = run(text, 4, kMaps[1], 6);
    const Run before = run(text, 4, kMaps[1], 3);
    const Run after = run(text, 4, kMaps[4], before.kept, kFirstRound + 3, 3);
    CHECK(std::ranges::equal(after.results, std::span(wanted.results).subspan(3)));
    CHECK(after.kept == wanted.kept);
  }
}

TEST_CASE("compressed: the total is the tree's sum of what each group's code says") {
  flush_denormals();
  for (const char* text : {"bf16", "int8", "topk=0.01"}) {
    CAPTURE(text);
    constexpr std::uint32_t kGroups = 3;
    const Compression compression = compression_of(text);
    const Run found = run(text, kGroups, {{0, 2}, {1}}, 4);
    const auto codec = make_codec(compression.settings);
    Kept kept(kGroups, compression);
    for (std::uint64_t round = 0; round < 4; ++round) {
      std::vector<std::vector<float>> decoded(kGroups, std::vector<float>(kSize));
      for (std::uint32_t g = 0; g < kGroups; ++g) {
        for (const auto& [begin, end] : kBuckets) {
          std::vector<float> part;
          for (std::uint64_t e = begin; e < end; ++e) part.push_back(gradient(kFirstRound + round, g, e));
          Bytes code(codec->bytes(part.size(), kFirstRound + round));
          const std::span<float> velocity = kept.velocity[g];
          REQUIRE(codec->encode({kFirstRound + round, g, begin}, part,
                                {std::span(kept.residual[g]).subspan(begin, end - begin),
                                 velocity.empty() ? velocity : velocity.subspan(begin, end - begin)},
                                code));
          codec->decode(code, kFirstRound + round, std::span(decoded[g]).subspan(begin, end - begin));
        }
      }
      for (std::uint64_t e = 0; e < kSize; ++e) {
        CHECK(found.results[round][e] == (decoded[0][e] + decoded[1][e]) + decoded[2][e]);
      }
    }
    CHECK(found.kept == kept);
  }
}

TEST_CASE("compressed: nothing is lost for good, in any scheme") {
  for (const char* text : {"bf16", "int8", "powersgd=1", "powersgd=3"}) {
    CAPTURE(text);
    constexpr std::uint64_t kRounds = 8;
    const Run found = run(text, 4, kMaps[1], kRounds);
    for (std::uint64_t e = 0; e < kSize; e += 7) {
      double given = 0, sent = 0;
      for (std::uint64_t round = 0; round < kRounds; ++round) {
        sent += found.results[round][e];
        for (std::uint32_t g = 0; g < 4; ++g) given += gradient(kFirstRound + round, g, e);
      }
      for (std::uint32_t g = 0; g < 4; ++g) sent += found.kept.residual[g][e];
      CHECK(std::abs(given - sent) < 1e-4);
    }
  }
}

TEST_CASE("compressed: biases and small matrices go through powersgd as they are") {
  const Run found = run("powersgd=9", 4, kMaps[1], 2);  // 9 * (10 + 40) is more than 10 * 40
  CHECK(low_rank_matrices(kMatrices, 9).size() == 1);
  for (std::uint64_t round = 0; round < 2; ++round) {
    for (std::uint64_t e = 2000; e < kSize; ++e) {
      const auto g = [&](std::uint32_t group) { return gradient(kFirstRound + round, group, e); };
      CHECK(found.results[round][e] == (g(0) + g(1)) + (g(2) + g(3)));
    }
  }
}

TEST_CASE("compressed: a sum that is not finite ends the round on every rank with 65, whoever holds it") {
  for (const char* text : kAll) {
    CAPTURE(text);
    const Compression compression = compression_of(text);
    Kept kept(4, compression);
    const Owners owners = {{0, 1}, {2, 3}};
    std::vector<std::vector<float>> bases(2, kept.basis);
    std::unique_ptr<LocalGroup> group;
    std::mutex making;
    std::vector<int> codes(2);
    const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
      const auto end = make_compressed(plan_of(4, owners), compression, state_of(kept, owners[rank], bases[rank]), 0,
                                       [&](const SumPlan& plan) {
                                         const std::lock_guard lock(making);
                                         if (!group) group = std::make_unique<LocalGroup>(plan);
                                         return group->rank(rank);
                                       });
      if (rank == 1) end->part(1)[1234] = std::numeric_limits<float>::quiet_NaN();
      for (std::size_t b = 0; b < kBuckets.size(); ++b) end->start(b);
      try {
        for (std::size_t b = 0; b < kBuckets.size(); ++b) end->wait(b);
      } catch (const Error& error) {
        codes[rank] = static_cast<int>(error.code());
      }
    });
    for (const std::string& what : thrown) CHECK(what == "");
    CHECK(codes == std::vector<int>{65, 65});
  }
}

TEST_CASE("compressed: a group that breaks throws, and what was kept before goes on as if it had not") {
  for (const char* text : kAll) {
    CAPTURE(text);
    const Compression compression = compression_of(text);
    const Run wanted = run(text, 4, kMaps[1], 4);
    const Run before = run(text, 4, kMaps[1], 2);
    Kept broken = before.kept;
    std::unique_ptr<LocalGroup> group;
    std::mutex making;
    std::vector<std::vector<float>> bases(2, broken.basis);
    const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
      const auto end = make_compressed(plan_of(4, kMaps[1]), compression, state_of(broken, kMaps[1][rank], bases[rank]),
                                       kFirstRound + 2, [&](const SumPlan& plan) {
                                         const std::lock_guard lock(making);
                                         if (!group) group = std::make_unique<LocalGroup>(plan);
                                         return group->rank(rank);
                                       });
      std::vector<std::vector<float>> results;
      if (rank == 1) {
        end->start(0);  // and is killed
        group->abort("rank 1 is gone");
        return;
      }
      CHECK_THROWS_AS(add_rounds(*end, kMaps[1][rank], kFirstRound + 2, 1, results), RoundAborted);
    });
    for (const std::string& what : thrown) CHECK(what == "");
    const Run after = run(text, 4, kMaps[2], before.kept, kFirstRound + 2, 2);
    CHECK(after.kept == wanted.kept);
  }
}

TEST_CASE("powersgd: columns become orthonormal; one that is spanned by others, or zero, becomes zero") {
  flush_denormals();
  constexpr std::size_t kRows = 37;
  constexpr std::uint32_t kRank = 5;
  Rng rng(1, Purpose::test);
  std::vector<float> p(kRows * kRank);
  for (float& x : p) x = 1000 * rng.uniform(-1, 1);
  for (std::size_t i = 0; i < kRows; ++i) {
    p[2 * kRows + i] = 0;
    p[3 * kRows + i] = 2 * p[i] - p[kRows + i];
  }
  orthogonalise(p, kRank);
  for (std::uint32_t a = 0; a < kRank; ++a) {
    for (std::uint32_t b = 0; b <= a; ++b) {
      double dot = 0;
      for (std::size_t i = 0; i < kRows; ++i) dot += double{p[a * kRows + i]} * p[b * kRows + i];
      const bool length = a == b && a != 2 && a != 3;
      CHECK(std::abs(dot - (length ? 1 : 0)) < 1e-6);
    }
  }
}

TEST_CASE("powersgd: a matrix of its rank is sent whole, from a basis of zeros on") {
  flush_denormals();
  constexpr std::uint32_t kRank = 2;
  constexpr std::size_t kRows = 30, kCols = 20;
  Rng rng(2, Purpose::test);
  std::vector<float> a(kRank * kRows), b(kRank * kCols), q(kRank * kCols), p(kRank * kRows);
  for (float& x : a) x = rng.uniform(-1, 1);
  for (float& x : b) x = rng.uniform(-1, 1);
  std::vector<float> matrix(kRows * kCols), out(kRows * kCols);
  expand(a, b, matrix, kRank);
  draw_zero_columns(q, kRank, 1, 0, 0);
  CHECK(q[0] != q[kCols]);
  multiply(matrix, q, p, kRank);
  orthogonalise(p, kRank);
  multiply_transposed(matrix, p, q, kRank);
  expand(p, q, out, kRank);
  for (std::size_t i = 0; i < matrix.size(); ++i) CHECK(std::abs(out[i] - matrix[i]) < 1e-5);
  subtract(p, q, matrix, kRank);
  for (const float x : matrix) CHECK(std::abs(x) < 1e-5);
}
