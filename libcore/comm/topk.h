// SPDX-License-Identifier: MIT
// The elements of largest magnitude, exact; the rest waits. comm/codec.h says what it is.
#pragma once

#include "comm/codec.h"

namespace dl::comm {

// Code: for each chosen element its index in the range as u32, ascending; then their values as float32. A cut is such
// a code of its elements, as many as were chosen of them.
class TopK final : public Codec {
 public:
  explicit TopK(const CodecSettings& settings);

  bool has_velocity() const override { return momentum_ > 0; }
  std::size_t bytes(std::size_t size, std::uint64_t round) const override { return 8 * chosen(size, round); }
  bool encode(const CodePlace& place, std::span<const float> gradient, const Feedback& feedback,
              std::span<std::byte> code) const override;
  void decode(ByteView code, std::uint64_t round, std::span<float> out) const override;
  void cut(ByteView code, std::size_t begin, std::size_t end, Bytes& out) const override;
  std::size_t most_cut_bytes(std::size_t size) const override { return 8 * size; }
  void decode_cut(ByteView cut, std::uint64_t round, std::size_t begin, std::span<float> out) const override;

 private:
  std::size_t chosen(std::size_t size, std::uint64_t round) const;

  double ratio_;
  float momentum_;
  bool nesterov_;
  std::uint64_t rounds_per_epoch_;
};

// The indices of the `count` elements of largest magnitude, ascending; among equal ones the first. All values must
// be finite, `count` at most their number, `peaks` what accumulate() says of them (comm/codec_kernels.h).
std::vector<std::uint32_t> choose_largest(std::span<const float> values, std::span<const std::uint32_t> peaks,
                                          std::size_t count);

}  // namespace dl::comm
