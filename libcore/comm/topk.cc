// SPDX-License-Identifier: MIT
#include "comm/topk.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "comm/codec_kernels.h"

namespace dl::comm {

namespace {

constexpr std::uint32_t kInfinity = 0x7F800000;
constexpr unsigned kShift = 19;  // magnitudes are counted by exponent and four bits of the fraction
constexpr std::size_t kBins = std::size_t{1} << (31 - kShift);

std::uint32_t magnitude(float x) { return std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFF; }

}  // namespace

void choose_largest(std::span<const float> values, std::size_t count, std::vector<std::uint32_t>& out) {
  out.clear();
  if (count == 0) return;
  std::array<std::uint32_t, kBins> bins{};
  for (const float x : values) ++bins[magnitude(x) >> kShift];
  std::size_t bin = kBins;
  std::size_t above = 0;  // elements in the bins above
  while (above + bins[--bin] < count) above += bins[bin];

  // The last one that is chosen lies in this bin.
  std::vector<std::uint32_t> close;
  close.reserve(bins[bin]);
  for (const float x : values) {
    if (magnitude(x) >> kShift == bin) close.push_back(magnitude(x));
  }
  const auto last = close.begin() + static_cast<std::ptrdiff_t>(count - above - 1);
  std::nth_element(close.begin(), last, close.end(), std::greater<>());
  const std::uint32_t threshold = *last;
  std::size_t equals = count - above;
  for (const std::uint32_t m : close) equals -= m > threshold ? 1 : 0;

  out.reserve(count);
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    const std::uint32_t m = magnitude(values[i]);
    if (m < threshold) continue;
    if (m == threshold) {
      if (equals == 0) continue;
      --equals;
    }
    out.push_back(i);
  }
}

TopK::TopK(const CodecSettings& settings)
    : ratio_(settings.spec.ratio),
      momentum_(settings.momentum),
      nesterov_(settings.nesterov),
      rounds_per_epoch_(std::max<std::uint64_t>(settings.rounds_per_epoch, 1)) {}

std::size_t TopK::chosen(std::size_t size, std::uint64_t round) const {
  const double wanted = std::ceil(warm_ratio(ratio_, round / rounds_per_epoch_) * static_cast<double>(size));
  return std::min(size, static_cast<std::size_t>(wanted));
}

bool TopK::encode(const CodePlace& place, std::span<const float> gradient, const Feedback& feedback,
                  std::span<std::byte> code) const {
  const CodecKernels& kernels = best_codec_kernels();
  const std::size_t size = gradient.size();
  float* const residual = feedback.residual.data();
  const std::uint32_t most =
      has_velocity() ? kernels.accumulate(momentum_, nesterov_, gradient.data(), feedback.velocity.data(), residual, size)
                     : kernels.add(gradient.data(), residual, size);
  if (most >= kInfinity) return false;
  std::vector<std::uint32_t> indices;
  choose_largest(feedback.residual, chosen(size, place.round), indices);
  std::byte* values = code.data() + sizeof(std::uint32_t) * indices.size();
  std::memcpy(code.data(), indices.data(), sizeof(std::uint32_t) * indices.size());
  for (const std::uint32_t i : indices) {
    std::memcpy(values, &residual[i], sizeof(float));
    values += sizeof(float);
    residual[i] = 0;
    if (has_velocity()) feedback.velocity[i] = 0;
  }
  return true;
}

void TopK::decode(ByteView code, std::uint64_t round, std::span<float> out) const {
  const std::size_t count = chosen(out.size(), round);
  if (code.size() != 8 * count) fail(Exit::data, "a code of {} bytes came where {} belong", code.size(), 8 * count);
  std::ranges::fill(out, 0.0F);
  ByteReader indices(code.first(4 * count), "topk: indices");
  ByteReader values(code.subspan(4 * count), "topk: values");
  std::uint64_t least = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto index = indices.get<std::uint32_t>();
    const auto value = values.get<float>();
    if (index < least || index >= out.size()) {
      fail(Exit::data, "topk: index {} of {} elements, where {} is the least", index, out.size(), least);
    }
    if (!std::isfinite(value)) fail(Exit::data, "topk: element {} is not finite", index);
    out[index] = value;
    least = std::uint64_t{index} + 1;
  }
}

}  // namespace dl::comm
