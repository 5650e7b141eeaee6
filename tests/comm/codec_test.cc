// SPDX-License-Identifier: MIT
#include "comm/codec.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "base/workers.h"
#include "comm/codec_kernels.h"
#include "comm/topk.h"

using namespace dl;
using namespace dl::comm;

namespace {

std::vector<float> numbers(std::size_t size, std::uint32_t which, float scale = 1) {
  Rng rng(11, Purpose::test, which);
  std::vector<float> out(size);
  for (float& x : out) x = scale * rng.uniform(-1, 1) * std::ldexp(1.0F, -static_cast<int>(rng.below(12)));
  return out;
}

CodecSettings settings(std::string_view text, float momentum = 0, bool nesterov = false) {
  return {.spec = parse_compression(text), .seed = 7, .momentum = momentum, .nesterov = nesterov, .rounds_per_epoch = 4};
}

// One group's memory of a whole vector.
struct Memory {
  explicit Memory(std::size_t size) : residual(size), velocity(size) {}
  Feedback feedback() { return {residual, velocity}; }
  std::vector<float> residual, velocity;
};

struct Coded {
  Bytes code;
  std::vector<float> decoded;
};

Coded coded(const Codec& codec, const CodePlace& place, std::span<const float> gradient, const Feedback& feedback) {
  Coded out;
  out.code.resize(codec.bytes(gradient.size(), place.round));
  REQUIRE(codec.encode(place, gradient, feedback, out.code));
  out.decoded.resize(gradient.size());
  codec.decode(out.code, place.round, out.decoded);
  return out;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(a, b, {}, [](float x) { return std::bit_cast<std::uint32_t>(x); },
                            [](float x) { return std::bit_cast<std::uint32_t>(x); });
}

std::vector<const CodecKernels*> here() {
  std::vector<const CodecKernels*> all = {&baseline_codec_kernels()};
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) all.push_back(&avx2_codec_kernels());
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0) {
    all.push_back(&avx512_codec_kernels());
  }
  return all;
}

}  // namespace

TEST_CASE("codec: bf16 is the nearest bfloat16, ties to even, and the residual is exactly what is lost") {
  flush_denormals();
  const auto codec = make_codec(settings("bf16"));
  const std::vector<float> gradient = {1.0F, 0x1.01p0F, 0x1.03p0F, -0x1.010002p0F, 3.14159274F, 0.0F, 0x1p-120F};
  Memory memory(gradient.size());
  const Coded out = coded(*codec, {}, gradient, memory.feedback());
  CHECK(out.code.size() == 2 * gradient.size());
  CHECK(out.decoded[0] == 1.0F);
  CHECK(out.decoded[1] == 1.0F);            // halfway between 1 and 1.0078125: the even one
  CHECK(out.decoded[2] == 0x1.04p0F);       // halfway too
  CHECK(out.decoded[3] == -0x1.02p0F);      // a little more than halfway
  CHECK(out.decoded[4] == 0x1.92p1F);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    CHECK(std::abs(memory.residual[i]) <= std::abs(gradient[i]) * 0x1p-8F);
    CHECK(memory.residual[i] == gradient[i] - out.decoded[i]);
  }
}

TEST_CASE("codec: int8 is off by less than a step of its block, and the residual is exactly what is lost") {
  flush_denormals();
  const auto codec = make_codec(settings("int8"));
  for (const std::size_t size : {1U, 127U, 128U, 129U, 1000U}) {
    Memory memory(size);
    const std::vector<float> before = memory.residual = numbers(size, 1, 0.01F);
    const std::vector<float> gradient = numbers(size, 2);
    const Coded out = coded(*codec, {.round = 3, .group = 1, .begin = 5}, gradient, memory.feedback());
    CHECK(out.code.size() == size + 4 * ((size + 127) / 128));
    for (std::size_t at = 0; at < size; at += 128) {
      const std::size_t end = std::min(size, at + 128);
      float most = 0;
      for (std::size_t i = at; i < end; ++i) most = std::max(most, std::abs(before[i] + gradient[i]));
      for (std::size_t i = at; i < end; ++i) {
        const float u = before[i] + gradient[i];
        CHECK(std::abs(out.decoded[i] - u) <= most / 127 * 1.0001F);
        CHECK(memory.residual[i] == u - out.decoded[i]);
      }
    }
  }
}

TEST_CASE("codec: int8 takes the random number of an element from the run's generator, whatever the order") {
  flush_denormals();
  const auto codec = make_codec(settings("int8"));
  std::vector<float> gradient(256, 0.5F);
  gradient[0] = gradient[128] = 127;  // so that a step is 1 and the rest half a step
  Memory memory(gradient.size());
  const Coded out = coded(*codec, {.round = 9, .group = 2, .begin = 0}, gradient, memory.feedback());
  // Philox blocks 0 .. 31 of the sequence that Rng names with the same key: 16 for each block of elements.
  Rng rng(7, Purpose::compression, 2, 9);
  std::vector<std::uint32_t> words(32 * 4);
  for (std::uint32_t& word : words) word = rng.next();
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    if (i % 128 == 0) continue;
    const std::size_t lane = i % 16, j = i % 128 / 32, upper = i % 32 / 16;
    const std::uint32_t word = words[(i / 128 * 16 + lane) * 4 + j];
    const std::uint32_t half = upper != 0 ? word >> 16 : word & 0xFFFF;
    CHECK(out.decoded[i] == (half >= 0x8000 ? 1.0F : 0.0F));
  }
}

TEST_CASE("codec: int8 has no bias: the mean of many roundings is the number") {
  flush_denormals();
  const auto codec = make_codec(settings("int8"));
  constexpr std::size_t kSize = 128;
  std::vector<float> gradient(kSize);
  for (std::size_t i = 0; i < kSize; ++i) gradient[i] = 127 * (2 * static_cast<float>(i) / (kSize - 1) - 1);
  std::vector<double> sum(kSize);
  constexpr int kRounds = 4000;
  double all = 0;
  for (int round = 0; round < kRounds; ++round) {
    Memory memory(kSize);
    const Coded out = coded(*codec, {.round = static_cast<std::uint64_t>(round)}, gradient, memory.feedback());
    for (std::size_t i = 0; i < kSize; ++i) {
      sum[i] += out.decoded[i];
      all += out.decoded[i] - gradient[i];
    }
  }
  // The standard deviation of one rounding is at most half a step.
  const double deviation = 0.5 / std::sqrt(kRounds);
  for (std::size_t i = 0; i < kSize; ++i) CHECK(std::abs(sum[i] / kRounds - gradient[i]) < 4.5 * deviation);
  CHECK(std::abs(all / kRounds / kSize) < 4.5 * deviation / std::sqrt(kSize));
}

TEST_CASE("codec: topk sends the largest, exactly, and keeps the rest for later") {
  flush_denormals();
  const auto codec = make_codec(settings("topk=0.25"));
  Memory memory(8);
  const std::vector<float> gradient = {1, -7, 2, 3, 0.5F, -3, 7, 0};
  Coded out = coded(*codec, {}, gradient, memory.feedback());
  CHECK(out.code.size() == 2 * 8);
  CHECK(out.decoded == std::vector<float>{0, -7, 0, 0, 0, 0, 7, 0});
  CHECK(memory.residual == std::vector<float>{1, 0, 2, 3, 0.5F, -3, 0, 0});
  // Equal magnitudes: the first ones.
  out = coded(*codec, {}, std::vector<float>(8, 0.0F), memory.feedback());
  CHECK(out.decoded == std::vector<float>{0, 0, 0, 3, 0, -3, 0, 0});
  out = coded(*codec, {}, std::vector<float>(8, 0.0F), memory.feedback());
  CHECK(out.decoded == std::vector<float>{1, 0, 2, 0, 0, 0, 0, 0});
}

TEST_CASE("codec: the largest are those that sorting finds") {
  for (std::uint32_t trial = 0; trial < 60; ++trial) {
    Rng rng(3, Purpose::test, trial);
    const std::size_t size = 1 + rng.below(3000);
    std::vector<float> values = numbers(size, trial + 100);
    if (trial % 3 == 0) {  // many equal ones
      for (float& x : values) x = std::round(x * 4);
    }
    const std::size_t count = rng.below((trial % 2 == 0 ? size : size / 64) + 1);
    std::vector<std::uint32_t> order(size);
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, std::greater<>(), [&](std::uint32_t i) { return std::abs(values[i]); });
    order.resize(count);
    std::ranges::sort(order);
    std::vector<std::uint32_t> peaks(peaks_of(size));
    for (std::size_t i = 0; i < size; ++i) {
      std::uint32_t& peak = peaks[i / 256 * 16 + i % 16];
      peak = std::max(peak, std::bit_cast<std::uint32_t>(values[i]) & 0x7FFFFFFF);
    }
    CHECK(choose_largest(values, peaks, count) == order);
    std::vector<float> sums(size);
    std::vector<std::uint32_t> found(peaks.size());
    best_codec_kernels().accumulate(0, false, values.data(), nullptr, sums.data(), found.data(), size);
    CHECK(found == peaks);
  }
}

TEST_CASE("codec: topk's momentum goes on in what waits, and ends in what is sent") {
  flush_denormals();
  const auto plain = make_codec(settings("topk=0.25", 0.5F));
  const auto nesterov = make_codec(settings("topk=0.25", 0.5F, true));
  CHECK(plain->has_velocity());
  Memory a(4), b(4);
  const std::vector<float> gradient = {4, 1, 0, 2};
  CHECK(coded(*plain, {}, gradient, a.feedback()).decoded == std::vector<float>{4, 0, 0, 0});
  CHECK(a.velocity == std::vector<float>{0, 1, 0, 2});
  CHECK(coded(*plain, {}, gradient, a.feedback()).decoded == std::vector<float>{0, 0, 0, 5});
  CHECK(a.velocity == std::vector<float>{4, 1.5F, 0, 0});
  CHECK(a.residual == std::vector<float>{4, 2.5F, 0, 0});
  CHECK(coded(*nesterov, {}, gradient, b.feedback()).decoded == std::vector<float>{6, 0, 0, 0});
  CHECK(b.velocity == std::vector<float>{0, 1, 0, 2});
  CHECK(b.residual == std::vector<float>{0, 1.5F, 0, 3});
}

TEST_CASE("codec: topk's ratio warms up over epochs, and both sides know the size") {
  CHECK(warm_ratio(0.001, 0) == 0.25);
  CHECK(warm_ratio(0.001, 1) == 0.0625);
  CHECK(warm_ratio(0.001, 4) == 0.001);
  CHECK(warm_ratio(0.001, 1'000'000'000'000) == 0.001);
  CHECK(warm_ratio(0.5, 0) == 0.5);
  const auto codec = make_codec(settings("topk=0.001"));  // four rounds in an epoch
  CHECK(codec->bytes(10000, 3) == 8 * 2500);
  CHECK(codec->bytes(10000, 4) == 8 * 625);
  CHECK(codec->bytes(10000, 16) == 8 * 10);
  CHECK(codec->bytes(1, 16) == 8);
}

TEST_CASE("codec: nothing is lost for good: what was sent and what waits is what was given") {
  flush_denormals();
  for (const char* text : {"bf16", "int8", "topk=0.01"}) {
    const auto codec = make_codec(settings(text));
    constexpr std::size_t kSize = 500;
    Memory memory(kSize);
    std::vector<double> given(kSize), sent(kSize);
    for (std::uint32_t round = 0; round < 50; ++round) {
      const std::vector<float> gradient = numbers(kSize, round);
      const Coded out = coded(*codec, {.round = round}, gradient, memory.feedback());
      for (std::size_t i = 0; i < kSize; ++i) {
        given[i] += gradient[i];
        sent[i] += out.decoded[i];
      }
    }
    CAPTURE(text);
    for (std::size_t i = 0; i < kSize; ++i) CHECK(std::abs(given[i] - sent[i] - memory.residual[i]) < 1e-5);
  }
}

TEST_CASE("codec: every instruction set gives the same bits") {
  flush_denormals();
  const auto kernels = here();
  for (const std::size_t size : {1U, 15U, 16U, 100U, 128U, 1023U, 5000U}) {
    std::vector<float> gradient = numbers(size, 1);
    const std::vector<float> before = numbers(size, 2), speed = numbers(size, 3);
    gradient[0] = 1e-42F;
    gradient[size / 2] = -0.0F;
    struct Results {
      std::vector<float> bf16_residual, int8_residual, residual, velocity, added, bf16_out, int8_out, y;
      std::vector<std::uint16_t> bf16;
      Bytes int8;
      std::vector<std::uint32_t> peaks[3];
      std::uint32_t most;
      float dot;
    };
    std::vector<Results> all;
    for (const CodecKernels* k : kernels) {
      Results r{.bf16_residual = before, .int8_residual = before, .residual = before, .velocity = speed,
                .added = before, .bf16_out = before, .int8_out = before, .y = before, .bf16 = {}, .int8 = {},
                .peaks = {}, .most = 0, .dot = 0};
      r.bf16.resize(size);
      r.int8.resize(size + 4 * ((size + 127) / 128));
      REQUIRE(k->bf16_encode(gradient.data(), r.bf16_residual.data(), r.bf16.data(), size));
      REQUIRE(k->bf16_decode(r.bf16.data(), r.bf16_out.data(), size));
      const RandomPlace place = {{1, 2}, 3, 4, 5};
      REQUIRE(k->int8_encode(place, gradient.data(), r.int8_residual.data(), r.int8.data(), size));
      REQUIRE(k->int8_decode(r.int8.data(), r.int8_out.data(), size));
      for (auto& peaks : r.peaks) peaks.resize(peaks_of(size));
      k->accumulate(0.9F, false, gradient.data(), r.velocity.data(), r.residual.data(), r.peaks[0].data(), size);
      k->accumulate(0.9F, true, gradient.data(), r.velocity.data(), r.residual.data(), r.peaks[1].data(), size);
      k->accumulate(0, false, gradient.data(), nullptr, r.residual.data(), r.peaks[2].data(), size);
      r.most = k->add(gradient.data(), r.added.data(), size);
      r.dot = k->dot(gradient.data(), before.data(), size);
      k->axpy(0.3F, gradient.data(), r.y.data(), size);
      all.push_back(std::move(r));
    }
    for (std::size_t i = 1; i < all.size(); ++i) {
      CAPTURE(kernels[i]->name);
      CAPTURE(size);
      const Results &a = all[0], &b = all[i];
      CHECK(same_bits(a.bf16_residual, b.bf16_residual));
      CHECK(same_bits(a.bf16_out, b.bf16_out));
      CHECK(same_bits(a.int8_residual, b.int8_residual));
      CHECK(same_bits(a.int8_out, b.int8_out));
      CHECK(same_bits(a.residual, b.residual));
      CHECK(same_bits(a.velocity, b.velocity));
      CHECK(same_bits(a.added, b.added));
      CHECK(same_bits(a.y, b.y));
      CHECK(a.bf16 == b.bf16);
      CHECK(a.int8 == b.int8);
      CHECK(std::ranges::equal(a.peaks, b.peaks));
      CHECK(a.most == b.most);
      CHECK(same_bits(std::span(&a.dot, 1), std::span(&b.dot, 1)));
    }
  }
}

TEST_CASE("codec: a gradient that is not finite is told, wherever it stands") {
  flush_denormals();
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::quiet_NaN()};
  for (const char* text : {"bf16", "int8", "topk=0.01"}) {
    const auto codec = make_codec(settings(text));
    for (const float x : bad) {
      for (const std::size_t at : {0U, 77U, 130U, 299U}) {
        std::vector<float> gradient = numbers(300, 1);
        gradient[at] = x;
        Memory memory(gradient.size());
        Bytes code(codec->bytes(gradient.size(), 0));
        CHECK_FALSE(codec->encode({}, gradient, memory.feedback(), code));
      }
    }
  }
}

TEST_CASE("codec: a code that no encoder writes is refused") {
  flush_denormals();
  const auto refused = [](const Codec& codec, const Bytes& code, std::size_t size) {
    std::vector<float> out(size);
    CHECK_THROWS_AS(codec.decode(code, 100, out), Error);
  };
  const auto with = [](std::initializer_list<std::uint32_t> words) {
    Bytes out;
    for (const std::uint32_t word : words) put(out, word);
    return out;
  };
  const auto topk = make_codec(settings("topk=0.5"));
  const std::uint32_t one = std::bit_cast<std::uint32_t>(1.0F);
  std::vector<float> out(4);
  topk->decode(with({1, 3, one, one}), 100, out);
  CHECK(out == std::vector<float>{0, 1, 0, 1});
  refused(*topk, with({1, 4, one, one}), 4);            // beyond the end
  refused(*topk, with({3, 1, one, one}), 4);            // not ascending
  refused(*topk, with({1, 1, one, one}), 4);            // twice
  refused(*topk, with({1, 3, one, 0x7FC00000}), 4);     // NaN
  refused(*topk, with({1, 3, one}), 4);                 // short
  refused(*topk, with({1, 0xFFFFFFFF, one, one}), 4);
  const auto int8 = make_codec(settings("int8"));
  refused(*int8, with({0x7F800000, 0x7F7F7F7F}), 4);    // a scale that is infinite
  refused(*int8, with({0xFF800000, 0}), 4);
  refused(*int8, with({0x7F7FFFFF, 0x7F7F7F7F}), 4);    // 127 of it would be
  refused(*int8, with({0xBF800000, 0}), 4);             // negative
  refused(*int8, with({one}), 4);
  const auto bf16 = make_codec(settings("bf16"));
  refused(*bf16, with({0x7F800000, 0}), 4);
  refused(*bf16, with({0x0000FFFF, 0}), 4);
  refused(*bf16, with({0}), 4);
}

TEST_CASE("compression: what --compress may say, and what not") {
  CHECK(parse_compression("none").scheme == Scheme::none);
  CHECK(parse_compression("topk=0.001").ratio == 0.001);
  CHECK(parse_compression("topk=1").ratio == 1);
  CHECK(parse_compression("powersgd=4").rank == 4);
  for (const char* text : {"none", "bf16", "int8", "topk=0.001", "powersgd=2"}) CHECK(text_of(parse_compression(text)) == text);
  for (const char* text : {"", "gzip", "bf16=2", "topk", "topk=", "topk=0", "topk=-0.1", "topk=1.5", "topk=nan",
                           "topk=0.1x", "powersgd", "powersgd=0", "powersgd=65", "powersgd=2.5", "powersgd=-1", "INT8"}) {
    CAPTURE(text);
    try {
      parse_compression(text);
      FAIL("taken");
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
    }
  }
}

TEST_CASE("groups of shards are whole, in order, and as even as they can be") {
  for (std::uint32_t shards = 1; shards <= 20; ++shards) {
    for (std::uint32_t groups = 1; groups <= shards; ++groups) {
      std::uint32_t next = 0;
      for (std::uint32_t g = 0; g < groups; ++g) {
        const ShardRange range = group_of_shards(shards, groups, g);
        CHECK(range.begin == next);
        CHECK(range.size() >= shards / groups);
        CHECK(range.size() <= shards / groups + 1);
        next = range.end;
      }
      CHECK(next == shards);
    }
  }
}
