// SPDX-License-Identifier: MIT
#include "comm/layout.h"

#include <algorithm>

namespace dl::comm {

namespace {

constexpr std::uint64_t kLine = 16;  // floats in a cache line
// A slice goes to one peer while the others wait for theirs: the more peers, the shorter, down to this part.
constexpr std::uint32_t kMostSharing = 4;

// Cut number i of [0, size) into `count` runs of whole lines.
std::uint64_t cut(std::uint64_t size, std::uint64_t count, std::uint64_t i) {
  const std::uint64_t lines = (size + kLine - 1) / kLine;
  return std::min(size, lines * i / count * kLine);
}

}  // namespace

Cut cut_of(std::uint32_t ranks, const TcpTuning& tuning) {
  return {tuning.one_round_bytes, tuning.piece_bytes / std::clamp(ranks - 1, 1U, kMostSharing)};
}

Layout::Layout(const SumPlan& plan, const Cut& cut_sizes, std::span<const Collective> collectives)
    : ranks_(plan.ranks()) {
  std::uint64_t parts = 0;
  for (const auto& of_rank : plan.parts_of_rank) parts += of_rank.size();
  const std::uint64_t slice = std::max<std::uint64_t>(cut_sizes.slice_bytes / sizeof(float), kLine);
  for (std::uint32_t b = 0; b < plan.buckets.size(); ++b) {
    first_.push_back(static_cast<std::uint32_t>(pieces_.size()));
    const auto [begin, end] = plan.buckets[b];
    const std::uint64_t size = end - begin;
    if (size == 0) continue;
    const bool direct = collectives[b] == Collective::direct;
    const bool one_round = direct && size * parts * sizeof(float) <= cut_sizes.one_round_bytes;
    const std::uint64_t most = direct ? slice * ranks_ : slice;
    const std::uint64_t count = one_round ? 1 : (size + most - 1) / most;
    for (std::uint64_t i = 0; i < count; ++i) {
      const Piece piece{begin + cut(size, count, i), begin + cut(size, count, i + 1), b, collectives[b],
                        one_round};
      if (piece.size() > 0) pieces_.push_back(piece);
    }
  }
  first_.push_back(static_cast<std::uint32_t>(pieces_.size()));
}

Slice Layout::slice(const Piece& piece, std::uint32_t rank) const {
  return {piece.begin + cut(piece.size(), ranks_, rank),
          piece.begin + cut(piece.size(), ranks_, rank + 1)};
}

Staging::Staging(const Layout& layout, const Parts& parts, std::uint32_t rank,
                 const std::map<Collective, std::vector<bool>>& slots) {
  std::uint64_t offset = 0;
  const auto add = [&](std::uint64_t size, bool twice) {
    places_.push_back({offset, size, twice});
    offset += twice ? 2 * size : size;
  };
  for (const Piece& piece : layout.pieces()) {
    first_.push_back(places_.size());
    if (!piece.direct()) {
      for (const bool twice : slots.at(piece.collective)) add(piece.size(), twice);
      continue;
    }
    const std::uint64_t length = piece.one_round ? piece.size() : layout.slice(piece, rank).size();
    for (std::uint32_t from = 0; from < layout.ranks(); ++from) {
      add(from == rank ? 0 : length * parts.count(from), piece.one_round);
    }
  }
  memory_.emplace(offset * sizeof(float));
}

std::span<float> Staging::at(std::uint32_t piece, std::uint32_t from, std::uint64_t round) {
  const Place& place = places_[first_[piece] + from];
  const std::uint64_t shift = place.twice && round % 2 == 1 ? place.size : 0;
  auto* const floats = reinterpret_cast<float*>(memory_->bytes().data());
  return {floats + place.offset + shift, place.size};
}

}  // namespace dl::comm
