// SPDX-License-Identifier: MIT
#include "comm/part_codes.h"

#include <algorithm>

#include "base/error.h"

namespace dl::comm {

namespace {

// Calls visit(bucket, begin, end) for each bucket that meets the part: which elements of the vector both have.
template <typename Visit>
void each_meeting(const std::vector<SumPlan::Bucket>& buckets, const PartCodes::Range& part, const Visit& visit) {
  for (const SumPlan::Bucket& bucket : buckets) {
    const std::uint64_t begin = std::max(bucket.begin, part.begin), end = std::min(bucket.end, part.end);
    if (begin < end) visit(bucket, begin, end);
  }
}

}  // namespace

PartCodes::PartCodes(const CodecSettings& settings, std::vector<SumPlan::Bucket> buckets, std::vector<Range> parts)
    : codec_(make_codec(settings)), buckets_(std::move(buckets)), parts_(std::move(parts)) {}

bool PartCodes::encode(std::uint64_t round, std::uint32_t group, std::span<const float> gradient,
                       const Feedback& feedback, std::vector<Bytes>& codes) const {
  codes.assign(parts_.size(), {});
  Bytes whole;
  for (const SumPlan::Bucket& bucket : buckets_) {
    const std::uint64_t size = bucket.end - bucket.begin;
    whole.resize(codec_->bytes(size, round));
    const Feedback its = {feedback.residual.subspan(bucket.begin, size),
                          codec_->has_velocity() ? feedback.velocity.subspan(bucket.begin, size) : std::span<float>()};
    const CodePlace place = {.round = round, .group = group, .begin = bucket.begin};
    if (!codec_->encode(place, gradient.subspan(bucket.begin, size), its, whole)) return false;
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      const std::uint64_t begin = std::max(bucket.begin, parts_[p].begin), end = std::min(bucket.end, parts_[p].end);
      if (begin >= end) continue;
      const std::size_t at = codes[p].size();
      put(codes[p], std::uint32_t{0});
      codec_->cut(whole, begin - bucket.begin, end - bucket.begin, codes[p]);
      const auto bytes = static_cast<std::uint32_t>(codes[p].size() - at - sizeof(std::uint32_t));
      std::memcpy(codes[p].data() + at, &bytes, sizeof bytes);
    }
  }
  return true;
}

void PartCodes::decode(ByteView code, std::uint64_t round, std::size_t part, std::span<float> out) const {
  const Range& range = parts_.at(part);
  if (out.size() != range.end - range.begin) fail(Exit::bug, "a part's code for {} elements of it", out.size());
  ByteReader in(code, "the code of a part");
  each_meeting(buckets_, range, [&](const SumPlan::Bucket& bucket, std::uint64_t begin, std::uint64_t end) {
    const ByteView piece = in.take(in.get<std::uint32_t>());
    codec_->decode_cut(piece, round, begin - bucket.begin, out.subspan(begin - range.begin, end - begin));
  });
  if (in.left() > 0) fail(Exit::data, "the code of a part: {} bytes too many", in.left());
}

std::uint64_t PartCodes::most_bytes() const {
  std::uint64_t most = 0;
  for (const Range& part : parts_) {
    std::uint64_t bytes = 0;
    each_meeting(buckets_, part, [&](const SumPlan::Bucket&, std::uint64_t begin, std::uint64_t end) {
      bytes += sizeof(std::uint32_t) + codec_->most_cut_bytes(end - begin);
    });
    most = std::max(most, bytes);
  }
  return most;
}

}  // namespace dl::comm
