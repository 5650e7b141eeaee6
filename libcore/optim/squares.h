// SPDX-License-Identifier: MIT
// The clipping norm of a gradient whose ranges lie in different hands.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace dl::optim {

// Elements [begin, end) of a vector of `size`, held by one.
struct HeldRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size = 0;
};

// sum_of_squares() adds whole blocks, and the border between two holders may cut one. So each gives, in
// index order, the sum of each block that lies in its range, and the elements of those that are cut.
std::uint32_t squares_share_bytes(const HeldRange& range);
// `elements` are those of the range. `out` is overwritten.
void write_squares_share(const HeldRange& range, std::span<const float> elements, Bytes& out);
// The shares one after the other, of ranges that tile the vector in order: the bits of sum_of_squares() of
// the whole vector.
double sum_of_shares(std::span<const HeldRange> ranges, ByteView shares);
// The same, each range's elements times its scale; with scales of 1 the same bits.
double sum_of_shares(std::span<const HeldRange> ranges, ByteView shares, std::span<const double> scales);

}  // namespace dl::optim
