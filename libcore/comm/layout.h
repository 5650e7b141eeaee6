// SPDX-License-Identifier: MIT
// How the buckets of a plan are cut for the wire, and where in memory what comes is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/parts.h"
#include "comm/memory.h"
#include "comm/mesh.h"

namespace dl::comm {

// A piece of a bucket, the unit of frames. Elements [begin, end) of the full vector.
struct Piece {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint32_t bucket = 0;
  bool one_round = false;
  std::uint64_t size() const { return end - begin; }
};

struct Slice {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size() const { return end - begin; }
};

// A pure function of plan and tuning; immutable.
class Layout {
 public:
  Layout(const SumPlan& plan, const TcpTuning& tuning);

  std::span<const Piece> pieces() const { return pieces_; }
  // The pieces of a bucket are [first, last).
  std::uint32_t first_piece(std::size_t bucket) const { return first_[bucket]; }
  std::uint32_t last_piece(std::size_t bucket) const { return first_[bucket + 1]; }
  std::size_t buckets() const { return first_.size() - 1; }

  // What `rank` adds of a two-round piece: whole lines of 16 floats of it, but for the end.
  Slice slice(const Piece& piece, std::uint32_t rank) const;
  // At most, of a slice of a piece.
  std::uint64_t slice_bytes() const { return slice_bytes_; }
  std::uint32_t ranks() const { return ranks_; }

 private:
  std::uint32_t ranks_;
  std::uint64_t slice_bytes_ = 0;
  std::vector<Piece> pieces_;
  std::vector<std::uint32_t> first_;
};

// The memory of one rank for parts of others. Its pages are taken when they are written to first.
class Staging {
 public:
  Staging(const Layout& layout, const Parts& parts, std::uint32_t rank);

  // Where the parts of `from` for this piece and round go, one after the other.
  std::span<float> at(std::uint32_t piece, std::uint32_t from, std::uint64_t round);

 private:
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool twice = false;  // two rounds side by side
  };
  std::uint32_t ranks_;
  std::vector<Place> places_;  // by piece and rank
  std::optional<Memory> memory_;
};

}  // namespace dl::comm
