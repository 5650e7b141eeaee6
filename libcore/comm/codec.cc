// SPDX-License-Identifier: MIT
#include "comm/codec.h"

#include "base/error.h"
#include "base/rng.h"
#include "comm/codec_kernels.h"
#include "comm/topk.h"

namespace dl::comm {

namespace {

void append(Bytes& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

void check_size(std::size_t is, std::size_t wanted) {
  if (is != wanted) fail(Exit::data, "a code of {} bytes came where {} belong", is, wanted);
}

class Bf16 final : public Codec {
 public:
  std::size_t bytes(std::size_t size, std::uint64_t) const override { return 2 * size; }

  bool encode(const CodePlace&, std::span<const float> gradient, const Feedback& feedback,
              std::span<std::byte> code) const override {
    std::uint16_t block[kBuffer];
    for (std::size_t at = 0; at < gradient.size(); at += kBuffer) {
      const std::size_t count = std::min(kBuffer, gradient.size() - at);
      if (!kernels_.bf16_encode(&gradient[at], &feedback.residual[at], block, count)) return false;
      std::memcpy(&code[2 * at], block, 2 * count);
    }
    return true;
  }

  void decode(ByteView code, std::uint64_t, std::span<float> out) const override {
    check_size(code.size(), 2 * out.size());
    std::uint16_t block[kBuffer];
    for (std::size_t at = 0; at < out.size(); at += kBuffer) {
      const std::size_t count = std::min(kBuffer, out.size() - at);
      std::memcpy(block, &code[2 * at], 2 * count);
      if (!kernels_.bf16_decode(block, &out[at], count)) {
        fail(Exit::data, "bf16: a number from element {} on is not finite", at);
      }
    }
  }

  void cut(ByteView code, std::size_t begin, std::size_t end, Bytes& out) const override {
    append(out, code.subspan(2 * begin, 2 * (end - begin)));
  }
  std::size_t most_cut_bytes(std::size_t size) const override { return 2 * size; }
  void decode_cut(ByteView cut, std::uint64_t round, std::size_t, std::span<float> out) const override {
    decode(cut, round, out);
  }

 private:
  static constexpr std::size_t kBuffer = 2048;  // elements; codes may lie at odd addresses
  const CodecKernels& kernels_ = best_codec_kernels();
};

class Int8 final : public Codec {
 public:
  explicit Int8(std::uint64_t seed) {
    // The key of Rng(seed, Purpose::compression).
    const auto purpose = static_cast<std::uint32_t>(Purpose::compression) * 0x9E3779B9U;
    key_[0] = static_cast<std::uint32_t>(seed);
    key_[1] = static_cast<std::uint32_t>(seed >> 32) ^ purpose;
  }

  std::size_t bytes(std::size_t size, std::uint64_t) const override {
    return size + sizeof(float) * ((size + kBlock - 1) / kBlock);
  }

  bool encode(const CodePlace& place, std::span<const float> gradient, const Feedback& feedback,
              std::span<std::byte> code) const override {
    const RandomPlace random = {.key = {key_[0], key_[1]},
                                .begin = static_cast<std::uint32_t>(place.begin),
                                .group = place.group,
                                .step = static_cast<std::uint32_t>(place.round)};
    return kernels_.int8_encode(random, gradient.data(), feedback.residual.data(), code.data(), gradient.size());
  }

  void decode(ByteView code, std::uint64_t round, std::span<float> out) const override {
    check_size(code.size(), bytes(out.size(), round));
    if (!kernels_.int8_decode(code.data(), out.data(), out.size())) {
      fail(Exit::data, "int8: a scale is negative, above 2^120, or no number");
    }
  }

  // A block that is cut keeps its scale on both sides.
  void cut(ByteView code, std::size_t begin, std::size_t end, Bytes& out) const override {
    for (std::size_t at = begin; at < end;) {
      const std::size_t in_block = at % kBlock, count = std::min(kBlock - in_block, end - at);
      const ByteView block = code.subspan(at / kBlock * (sizeof(float) + kBlock));
      append(out, block.first(sizeof(float)));
      append(out, block.subspan(sizeof(float) + in_block, count));
      at += count;
    }
  }
  std::size_t most_cut_bytes(std::size_t size) const override { return bytes(size, 0) + sizeof(float); }
  void decode_cut(ByteView cut, std::uint64_t round, std::size_t begin, std::span<float> out) const override {
    const std::size_t first = std::min((kBlock - begin % kBlock) % kBlock, out.size());
    const std::size_t bytes_of_first = bytes(first, round);
    check_size(cut.size(), bytes_of_first + bytes(out.size() - first, round));
    decode(cut.first(bytes_of_first), round, out.first(first));
    decode(cut.subspan(bytes_of_first), round, out.subspan(first));
  }

 private:
  std::uint32_t key_[2];
  const CodecKernels& kernels_ = best_codec_kernels();
};

}  // namespace

const CodecKernels& best_codec_kernels() {
  static const CodecKernels& best =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 ? avx512_codec_kernels()
      : __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0       ? avx2_codec_kernels()
                                                                                        : baseline_codec_kernels();
  return best;
}

ShardRange group_of_shards(std::uint32_t shards, std::uint32_t groups, std::uint32_t g) {
  const auto cut = [&](std::uint32_t i) {
    return static_cast<std::uint32_t>(std::uint64_t{shards} * i / groups);
  };
  return {cut(g), cut(g + 1)};
}

std::unique_ptr<Codec> make_codec(const CodecSettings& settings) {
  switch (settings.spec.scheme) {
    case Scheme::bf16: return std::make_unique<Bf16>();
    case Scheme::int8: return std::make_unique<Int8>(settings.seed);
    case Scheme::topk: return std::make_unique<TopK>(settings);
    default: fail(Exit::bug, "{} is no codec of single ranges", text_of(settings.spec));
  }
}

}  // namespace dl::comm
