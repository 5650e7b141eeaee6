// SPDX-License-Identifier: MIT
// Codes of whole vectors, cut for those who own parts of them (mode async). No sockets here.
//
// A group's vector is encoded bucket by bucket, as compressed sums do it (comm/compressed.h), so what is decoded of
// it has the same bits, however many parts there are. What an owner gets is, for each bucket that its part meets, in
// the order of the buckets: u32 bytes, then so many of what Codec::cut() makes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/codec.h"
#include "comm/communicator.h"

namespace dl::comm {

// Immutable but for the memory that a call takes, so a part may be decoded while a vector is encoded.
class PartCodes {
 public:
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  // The buckets together have all elements once, and so have the parts.
  PartCodes(const CodecSettings& settings, std::vector<SumPlan::Bucket> buckets, std::vector<Range> parts);

  // The code of each part. False as Codec::encode().
  [[nodiscard]] bool encode(std::uint64_t round, std::uint32_t group, std::span<const float> gradient,
                            const Feedback& feedback, std::vector<Bytes>& codes) const;
  // Overwrites `out`, which is as long as the part. 65 as Codec::decode().
  void decode(ByteView code, std::uint64_t round, std::size_t part, std::span<float> out) const;

  // Of a part's code.
  std::uint64_t most_bytes() const;

 private:
  std::unique_ptr<Codec> codec_;
  std::vector<SumPlan::Bucket> buckets_;
  std::vector<Range> parts_;
};

}  // namespace dl::comm
