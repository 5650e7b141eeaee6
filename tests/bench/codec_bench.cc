// SPDX-License-Identifier: MIT
// What compression costs a core: GB of float32 gradient a second, with the residual's update, over a vector that
// does not fit the second cache; and milliseconds that it adds to a step.
#include <cstdio>
#include <memory>

#include "base/rng.h"
#include "base/workers.h"
#include "comm/compressed.h"
#include "comm/local.h"
#include "turns.h"

using namespace dl;

namespace {

constexpr std::size_t kRange = 32768;  // as a model's buckets

// A whole round of 784-512-512-10 on one rank that holds `groups` groups: what compression adds to a step.
double round_seconds(const char* text, std::uint32_t groups) {
  constexpr std::uint32_t kIn = 784, kHidden = 512, kOut = 10;
  std::vector<comm::WeightMatrix> matrices;
  std::uint64_t size = 0;
  comm::SumPlan plan;
  for (const auto& [rows, cols] : {std::pair{kHidden, kIn}, {kHidden, kHidden}, {kOut, kHidden}}) {
    matrices.push_back({size, rows, cols});
    for (std::uint64_t end = size + std::uint64_t{rows} * cols + rows; size < end;) {
      const std::uint64_t next = std::min(end, size + kRange);
      plan.buckets.push_back({size, next});
      size = next;
    }
  }
  plan.shards = groups;
  plan.parts_of_rank.resize(1);
  for (std::uint32_t g = 0; g < groups; ++g) plan.parts_of_rank[0].push_back({g, g + 1});
  const comm::Compression compression = {
      .settings = {.spec = comm::parse_compression(text), .seed = 1, .momentum = 0.9F, .rounds_per_epoch = 1},
      .matrices = matrices};
  std::vector<std::vector<float>> kept(2 * groups, std::vector<float>(size));
  std::vector<float> basis(basis_size(compression));
  comm::CompressionState state{.groups = {}, .basis = basis};
  for (std::uint32_t g = 0; g < groups; ++g) state.groups.push_back({kept[2 * g], kept[2 * g + 1]});
  std::unique_ptr<comm::LocalGroup> alone;
  const auto end = make_compressed(plan, compression, state, 1000, [&](const comm::SumPlan& inner) {
    alone = std::make_unique<comm::LocalGroup>(inner);
    return alone->rank(0);
  });
  Rng rng(1, Purpose::test);
  for (std::uint32_t g = 0; g < groups; ++g) {
    for (float& x : end->part(g)) x = rng.uniform(-1, 1);
  }
  std::vector<bench::Contender> one(1);
  one[0].run = [&] {
    for (std::size_t b = 0; b < plan.buckets.size(); ++b) end->start(b);
    for (std::size_t b = 0; b < plan.buckets.size(); ++b) end->wait(b);
  };
  bench::take_turns(one, 7, 0.05);
  return bench::median(one[0].seconds);
}

}  // namespace

int main() {
  flush_denormals();
  constexpr std::size_t kSize = 20 * kRange;
  std::vector<float> gradient(kSize), residual(kSize), velocity(kSize), out(kRange);
  Rng rng(1, Purpose::test);
  for (float& x : gradient) x = rng.uniform(-1, 1);
  std::printf("%-12s %14s %14s %16s\n", "", "encode GB/s", "decode GB/s", "bytes/element");
  for (const char* text : {"bf16", "int8", "topk=0.001", "topk=0.01"}) {
    const auto codec = comm::make_codec(
        {.spec = comm::parse_compression(text), .seed = 1, .momentum = 0.9F, .rounds_per_epoch = 1});
    constexpr std::uint64_t kRound = 1000;  // the warm-up is over
    const std::size_t bytes = codec->bytes(kRange, kRound);
    Bytes code(20 * bytes);
    const auto encode = [&] {
      for (std::size_t i = 0; i < 20; ++i) {
        const auto part = [&](std::vector<float>& all) { return std::span(all).subspan(i * kRange, kRange); };
        if (!codec->encode({.round = kRound, .group = 0, .begin = i * kRange}, part(gradient),
                           {part(residual), part(velocity)}, std::span(code).subspan(i * bytes, bytes))) {
          std::abort();
        }
      }
    };
    const auto decode = [&] {
      for (std::size_t i = 0; i < 20; ++i) codec->decode(ByteView(code).subspan(i * bytes, bytes), kRound, out);
    };
    std::vector<bench::Contender> both(2);
    both[0].run = encode;
    both[1].run = decode;
    bench::take_turns(both, 7, 0.05);
    const auto speed = [&](const bench::Contender& c) { return 4e-9 * kSize / bench::median(c.seconds); };
    std::printf("%-12s %14.2f %14.2f %16.4f\n", text, speed(both[0]), speed(both[1]),
                static_cast<double>(bytes) / kRange);
  }
  std::printf("\nms of a round of 784-512-512-10 on a rank that holds\n%-12s %14s %14s\n", "", "1 group", "4 groups");
  for (const char* text : {"bf16", "int8", "topk=0.001", "topk=0.01", "powersgd=1", "powersgd=2", "powersgd=4"}) {
    std::printf("%-12s %14.2f %14.2f\n", text, 1e3 * round_seconds(text, 1), 1e3 * round_seconds(text, 4));
  }
}
