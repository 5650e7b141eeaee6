// SPDX-License-Identifier: MIT
#include "comm/part_codes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/rng.h"
#include "base/workers.h"

using namespace dl;
using namespace dl::comm;

namespace {

constexpr std::uint64_t kSize = 1000;
// In the order of the backward pass; none begins or ends at a block.
const std::vector<SumPlan::Bucket> kBuckets = {{700, 1000}, {3, 700}, {0, 3}};

std::vector<PartCodes::Range> random_parts(Rng& rng) {
  std::vector<std::uint64_t> borders = {0, kSize};
  for (std::uint64_t i = rng.below(6); i > 0; --i) borders.push_back(rng.below(kSize + 1));
  std::ranges::sort(borders);
  std::vector<PartCodes::Range> parts;
  for (std::size_t i = 1; i < borders.size(); ++i) parts.push_back({borders[i - 1], borders[i]});  // some are empty
  return parts;
}

CodecSettings settings(const char* how) {
  return {.spec = parse_compression(how), .seed = 7, .momentum = 0.9F, .nesterov = false, .rounds_per_epoch = 2};
}

}  // namespace

TEST_CASE("part codes: any cut of the vector has the bits of its codes, bucket by bucket, and the same feedback") {
  flush_denormals();
  for (const char* how : {"bf16", "int8", "topk=0.03", "topk=1"}) {
    CAPTURE(how);
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      Rng rng(seed, Purpose::test, 3);
      const std::vector<PartCodes::Range> parts = random_parts(rng);
      const auto codec = make_codec(settings(how));
      const PartCodes cut(settings(how), kBuckets, parts);
      std::vector<float> residual[2] = {std::vector<float>(kSize), std::vector<float>(kSize)};
      std::vector<float> velocity[2] = {std::vector<float>(kSize), std::vector<float>(kSize)};
      for (std::uint64_t round = 0; round < 6; ++round) {
        std::vector<float> gradient(kSize), wanted(kSize), got(kSize, 5.0F);
        for (float& x : gradient) x = rng.uniform(-1, 1);
        for (const SumPlan::Bucket& b : kBuckets) {
          const std::uint64_t n = b.end - b.begin;
          Bytes code(codec->bytes(n, round));
          const Feedback its = {std::span(residual[0]).subspan(b.begin, n), std::span(velocity[0]).subspan(b.begin, n)};
          REQUIRE(codec->encode({round, 2, b.begin}, std::span(gradient).subspan(b.begin, n), its, code));
          codec->decode(code, round, std::span(wanted).subspan(b.begin, n));
        }
        std::vector<Bytes> codes;
        REQUIRE(cut.encode(round, 2, gradient, {residual[1], velocity[1]}, codes));
        for (std::size_t p = 0; p < parts.size(); ++p) {
          CHECK(codes[p].size() <= cut.most_bytes());
          cut.decode(codes[p], round, p, std::span(got).subspan(parts[p].begin, parts[p].end - parts[p].begin));
        }
        CHECK(std::memcmp(got.data(), wanted.data(), kSize * sizeof(float)) == 0);
        CHECK(std::memcmp(residual[0].data(), residual[1].data(), kSize * sizeof(float)) == 0);
        CHECK(std::memcmp(velocity[0].data(), velocity[1].data(), kSize * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("part codes: bytes that are missing or left are refused, and a gradient that is not finite has no code") {
  for (const char* how : {"bf16", "int8", "topk=0.1"}) {
    CAPTURE(how);
    const PartCodes cut(settings(how), kBuckets, {{0, 500}, {500, 1000}});
    std::vector<float> residual(kSize), velocity(kSize), gradient(kSize, 1.0F), out(500);
    std::vector<Bytes> codes;
    REQUIRE(cut.encode(0, 0, gradient, {residual, velocity}, codes));
    for (std::size_t n = 0; n < codes[0].size(); n += 7) {
      CHECK_THROWS_AS(cut.decode(ByteView(codes[0]).first(n), 0, 0, out), Error);
    }
    codes[0].push_back(std::byte{0});
    CHECK_THROWS_AS(cut.decode(codes[0], 0, 0, out), Error);
    gradient[600] = std::numeric_limits<float>::infinity();
    CHECK_FALSE(cut.encode(1, 0, gradient, {residual, velocity}, codes));
  }
}
