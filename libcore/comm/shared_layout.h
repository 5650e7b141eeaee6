// SPDX-License-Identifier: MIT
// Where in shared memory the ranks of a plan find what they share.
#pragma once

#include <cstdint>

#include "comm/communicator.h"

namespace dl::comm {

// Offsets in bytes; a pure function of the plan, computed by every rank for itself, so that nothing
// which lies in the memory decides where anything else lies. Immutable.
//
//   for each rank     a line: BellWords
//   for each rank     lines that this rank alone writes: u64 posts, u64 left, u64 starts of each bucket
//   for each bucket   a line: u64 chunks added since the beginning;
//                     for each rank a line: u64 chunks of its slice taken since the beginning
//   twice             the records of all ranks, by parity of the round
//   then              all parts ascending by shard, and the result (comm/memory.h, Vectors)
class SharedLayout {
 public:
  explicit SharedLayout(const SumPlan& plan);

  std::size_t bytes() const { return bytes_; }
  std::size_t bell(std::uint32_t rank) const { return rank * kLine; }
  std::size_t posts(std::uint32_t rank) const { return said_ + rank * said_bytes_; }
  std::size_t left(std::uint32_t rank) const { return posts(rank) + 8; }
  std::size_t starts(std::uint32_t rank, std::size_t bucket) const {
    return posts(rank) + 8 * (2 + bucket);
  }
  std::size_t added(std::size_t bucket) const { return shares_ + bucket * (1 + ranks_) * kLine; }
  std::size_t taken(std::size_t bucket, std::uint32_t slice) const {
    return added(bucket) + (1 + slice) * kLine;
  }
  std::size_t records(std::uint64_t round) const { return records_ + round % 2 * records_bytes_; }
  std::size_t vectors() const { return vectors_; }

 private:
  static constexpr std::size_t kLine = 64;

  std::size_t ranks_, said_, said_bytes_, shares_, records_, records_bytes_, vectors_, bytes_;
};

}  // namespace dl::comm
