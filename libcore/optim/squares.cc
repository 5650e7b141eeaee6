// SPDX-License-Identifier: MIT
#include "optim/squares.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "optim/kernels.h"
#include "optim/optimizer.h"

namespace dl::optim {

namespace {

// Calls visit(begin, end, whole, last) for what the range has of each block: whether that is all of it, and
// whether it has the block's end.
template <class Visit>
void each_block(const HeldRange& range, const Visit& visit) {
  for (std::uint64_t at = range.begin; at < range.end;) {
    const std::uint64_t block = at / kSquaresBlock * kSquaresBlock;
    const std::uint64_t block_end = std::min<std::uint64_t>(range.size, block + kSquaresBlock);
    const std::uint64_t end = std::min(range.end, block_end);
    visit(at, end, at == block && end == block_end, end == block_end);
    at = end;
  }
}

}  // namespace

std::uint32_t squares_share_bytes(const HeldRange& range) {
  std::size_t bytes = 0;
  each_block(range, [&](std::uint64_t begin, std::uint64_t end, bool whole, bool) {
    bytes += whole ? sizeof(double) : (end - begin) * sizeof(float);
  });
  return static_cast<std::uint32_t>(bytes);
}

void write_squares_share(const HeldRange& range, std::span<const float> elements, Bytes& out) {
  out.clear();
  each_block(range, [&](std::uint64_t begin, std::uint64_t end, bool whole, bool) {
    const std::span<const float> block = elements.subspan(begin - range.begin, end - begin);
    if (whole) {
      put(out, sum_of_squares(block));
    } else {
      const ByteView bytes = std::as_bytes(block);
      out.insert(out.end(), bytes.begin(), bytes.end());
    }
  });
}

double sum_of_shares(std::span<const HeldRange> ranges, ByteView shares) {
  return sum_of_shares(ranges, shares, std::vector<double>(ranges.size(), 1.0));
}

double sum_of_shares(std::span<const HeldRange> ranges, ByteView shares, std::span<const double> scales) {
  ByteReader reader(shares, "the shares of a norm");
  double sum = 0;
  std::vector<float> cut;
  for (std::size_t r = 0; r < ranges.size(); ++r) {
    each_block(ranges[r], [&](std::uint64_t begin, std::uint64_t end, bool whole, bool last) {
      if (whole) {
        sum += reader.get<double>() * (scales[r] * scales[r]);
        return;
      }
      const std::size_t had = cut.size(), count = end - begin;
      cut.resize(had + count);
      std::memcpy(cut.data() + had, reader.take(count * sizeof(float)).data(), count * sizeof(float));
      for (float& x : std::span(cut).subspan(had)) x *= static_cast<float>(scales[r]);
      if (!last) return;
      sum += sum_of_squares(cut);
      cut.clear();
    });
  }
  return sum;
}

}  // namespace dl::optim
