// SPDX-License-Identifier: MIT
// What compression costs a core: GB of float32 gradient a second, with the residual's update, over a vector that
// does not fit the second cache.
#include <cstdio>

#include "base/rng.h"
#include "base/workers.h"
#include "comm/codec.h"
#include "turns.h"

int main() {
  using namespace dl;
  flush_denormals();
  constexpr std::size_t kRange = 32768;  // as a model's buckets
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
}
