// SPDX-License-Identifier: MIT
// How the buckets of a plan are cut for the wire, and where in memory what comes is kept.
#pragma once

#include <cstdint>
#include <map>
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
  Collective collective = Collective::direct;
  bool one_round = false;  // direct, from all to all
  bool direct() const { return collective == Collective::direct; }
  std::uint64_t size() const { return end - begin; }
};

struct Slice {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size() const { return end - begin; }
};

// What a group of so many ranks makes of the tuning.
Cut cut_of(std::uint32_t ranks, const TcpTuning& tuning);

// A pure function of its arguments. `collectives`: by bucket.
class Layout {
 public:
  Layout(const SumPlan& plan, const Cut& cut, std::span<const Collective> collectives);

  std::span<const Piece> pieces() const { return pieces_; }
  // The pieces of a bucket are [first, last).
  std::uint32_t first_piece(std::size_t bucket) const { return first_[bucket]; }
  std::uint32_t last_piece(std::size_t bucket) const { return first_[bucket + 1]; }
  std::size_t buckets() const { return first_.size() - 1; }

  // What `rank` adds of a two-round piece: whole lines of 16 floats of it, but for the end.
  Slice slice(const Piece& piece, std::uint32_t rank) const;
  std::uint32_t ranks() const { return ranks_; }

 private:
  std::uint32_t ranks_;
  std::vector<Piece> pieces_;
  std::vector<std::uint32_t> first_;
};

// The memory of one rank for what others send. Its pages are taken when they are written to first.
class Staging {
 public:
  // `slots`: by collective, whether each slot of its schedule is there twice.
  Staging(const Layout& layout, const Parts& parts, std::uint32_t rank,
          const std::map<Collective, std::vector<bool>>& slots);

  // Of a direct piece: where the parts of `from` for this round go, one after the other. Of another one: the slot of
  // that number.
  std::span<float> at(std::uint32_t piece, std::uint32_t from, std::uint64_t round);

 private:
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool twice = false;  // two rounds side by side
  };
  std::vector<std::size_t> first_;  // by piece: its first place
  std::vector<Place> places_;
  std::optional<Memory> memory_;
};

}  // namespace dl::comm
