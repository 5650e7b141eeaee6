// SPDX-License-Identifier: MIT
// Sums of which every group's code goes to every rank. Internal to comm; compressed.h says what for.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "comm/before.h"
#include "comm/codec.h"
#include "comm/compressed.h"
#include "comm/memory.h"
#include "comm/tree_sum.h"

namespace dl::comm {

// A message is what a rank's groups have for a run of buckets: group after group, bucket after bucket. Messages are
// numbered through all rounds, by every rank alike; the number is the tag.
class CodedSum final : public Before {
 public:
  CodedSum(const SumPlan& plan, const Compression& compression, CompressionState state, std::uint64_t round,
           const Connect& connect);

  std::span<float> part(std::size_t i) override { return vectors_[i]; }
  std::span<const float> result() const override { return vectors_[own_.size()]; }
  void start(std::size_t bucket) override;
  void wait(std::size_t bucket) override;
  void send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces) override;
  std::optional<Message> take(bool wait) override;

 private:
  struct Letter {                  // one message of this round
    std::size_t first = 0, last = 0;  // buckets
    std::size_t bytes = 0;            // of one group
  };
  struct Group {
    std::uint32_t rank = 0;
    std::size_t place = 0;  // among that rank's groups
  };

  void open_round();
  std::size_t elements(std::size_t bucket) const;
  void receive(std::uint64_t tag);
  ByteView code(std::size_t bucket, const Group& group) const;

  const SumPlan plan_;
  const std::unique_ptr<Codec> codec_;
  const CompressionState state_;
  std::vector<std::uint32_t> own_;  // the groups of this rank
  std::vector<Group> groups_;       // all of them
  const TreeSum sum_;
  const Vectors vectors_;           // the own parts, then the result

  std::uint64_t next_round_;
  std::uint64_t round_ = 0;             // that is open
  std::uint64_t first_tag_ = 0;         // of this round
  std::vector<Letter> letters_;
  std::vector<std::size_t> letter_of_;  // by bucket
  std::vector<std::size_t> offset_;     // by bucket: in a group's part of its letter
  std::vector<Bytes> sent_;             // by letter: the own ones
  std::map<std::uint64_t, std::vector<Bytes>> arrived_;  // by tag, then rank
  Vectors decoded_;                     // by group, a bucket of it
};

}  // namespace dl::comm
