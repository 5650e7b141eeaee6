// SPDX-License-Identifier: MIT
#include "comm/topk.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "comm/codec_kernels.h"

namespace dl::comm {

namespace {

constexpr std::uint32_t kInfinity = 0x7F800000;
std::uint32_t magnitude(float x) { return std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFF; }

// The largest number that at least `count` of these, which are more than 0, reach.
std::uint32_t reached_by(std::vector<std::uint32_t> numbers, std::size_t count) {
  const auto last = numbers.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(numbers.begin(), last, numbers.end(), std::greater<>());
  return *last;
}

// A magnitude that at least `count` elements reach, by counting them in bins: exponent and five bits of the fraction.
std::uint32_t floor_by_bins(std::span<const float> values, std::size_t count) {
  constexpr unsigned kShift = 18;
  std::vector<std::uint32_t> bins(std::size_t{1} << (31 - kShift));
  for (const float x : values) ++bins[magnitude(x) >> kShift];
  std::size_t bin = bins.size();
  for (std::size_t found = 0; found < count;) found += bins[--bin];
  return static_cast<std::uint32_t>(bin << kShift);
}

// Zeros, and the values of a code where they belong.
void put_chosen(ByteView code, std::span<float> out) {
  const std::size_t count = code.size() / 8;
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

}  // namespace

// First a magnitude that enough elements reach, then those that reach it, then the largest of these. Where few are
// wanted, the peaks tell where to look: `count` peaks are as many elements.
std::vector<std::uint32_t> choose_largest(std::span<const float> values, std::span<const std::uint32_t> peaks,
                                          std::size_t count) {
  std::vector<std::uint32_t> out;
  if (count == 0) return out;
  const bool few = count <= peaks.size() / 4;
  const std::uint32_t least = few ? reached_by({peaks.begin(), peaks.end()}, count) : floor_by_bins(values, count);
  std::vector<std::uint32_t> magnitudes;
  for (std::size_t at = 0, block = 0; at < values.size(); at += kPeakBlock, ++block) {
    const auto of_block = peaks.subspan(block * kPeakLanes, kPeakLanes);
    if (*std::ranges::max_element(of_block) < least) continue;
    const std::size_t end = std::min(values.size(), at + kPeakBlock);
    for (std::size_t i = at; i < end; ++i) {
      if (magnitude(values[i]) < least) continue;
      out.push_back(static_cast<std::uint32_t>(i));
      magnitudes.push_back(magnitude(values[i]));
    }
  }
  const std::uint32_t threshold = reached_by(magnitudes, count);
  auto equals = count - static_cast<std::size_t>(std::ranges::count_if(
                            magnitudes, [&](std::uint32_t m) { return m > threshold; }));
  std::erase_if(out, [&](std::uint32_t i) {
    const std::uint32_t m = magnitude(values[i]);
    if (m != threshold) return m < threshold;
    if (equals == 0) return true;
    --equals;
    return false;
  });
  return out;
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
  std::vector<std::uint32_t> peaks(peaks_of(size));
  kernels.accumulate(momentum_, nesterov_, gradient.data(), has_velocity() ? feedback.velocity.data() : nullptr,
                     residual, peaks.data(), size);
  if (std::ranges::any_of(peaks, [](std::uint32_t peak) { return peak >= kInfinity; })) return false;
  const auto indices = choose_largest(feedback.residual, peaks, chosen(size, place.round));
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
  put_chosen(code, out);
}

void TopK::cut(ByteView code, std::size_t begin, std::size_t end, Bytes& out) const {
  const std::size_t count = code.size() / 8;
  std::vector<std::uint32_t> indices(count);
  if (count > 0) std::memcpy(indices.data(), code.data(), sizeof(std::uint32_t) * count);
  const auto first = std::lower_bound(indices.begin(), indices.end(), begin);
  const auto last = std::lower_bound(first, indices.end(), end);
  for (auto i = first; i != last; ++i) put(out, static_cast<std::uint32_t>(*i - begin));
  const ByteView values = code.subspan(sizeof(float) * (count + static_cast<std::size_t>(first - indices.begin())),
                                       sizeof(float) * static_cast<std::size_t>(last - first));
  out.insert(out.end(), values.begin(), values.end());
}

void TopK::decode_cut(ByteView cut, std::uint64_t, std::size_t, std::span<float> out) const {
  if (cut.size() % 8 != 0 || cut.size() / 8 > out.size()) {
    fail(Exit::data, "topk: {} bytes of code came for {} elements", cut.size(), out.size());
  }
  put_chosen(cut, out);
}

}  // namespace dl::comm
