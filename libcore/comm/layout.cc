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

Layout::Layout(const SumPlan& plan, const TcpTuning& tuning) : ranks_(plan.ranks()) {
  std::uint64_t parts = 0;
  for (const auto& of_rank : plan.parts_of_rank) parts += of_rank.size();
  slice_bytes_ = tuning.piece_bytes / std::clamp(ranks_ - 1, 1U, kMostSharing);
  const std::uint64_t most = std::max<std::uint64_t>(slice_bytes_ / sizeof(float), kLine) * ranks_;
  for (std::uint32_t b = 0; b < plan.buckets.size(); ++b) {
    first_.push_back(static_cast<std::uint32_t>(pieces_.size()));
    const auto [begin, end] = plan.buckets[b];
    const std::uint64_t size = end - begin;
    if (size == 0) continue;
    const bool one_round = size * parts * sizeof(float) <= tuning.one_round_bytes;
    const std::uint64_t count = one_round ? 1 : (size + most - 1) / most;
    for (std::uint64_t i = 0; i < count; ++i) {
      const Piece piece{begin + cut(size, count, i), begin + cut(size, count, i + 1), b, one_round};
      if (piece.size() > 0) pieces_.push_back(piece);
    }
  }
  first_.push_back(static_cast<std::uint32_t>(pieces_.size()));
}

Slice Layout::slice(const Piece& piece, std::uint32_t rank) const {
  return {piece.begin + cut(piece.size(), ranks_, rank),
          piece.begin + cut(piece.size(), ranks_, rank + 1)};
}

Staging::Staging(const Layout& layout, const Parts& parts, std::uint32_t rank)
    : ranks_(layout.ranks()) {
  std::uint64_t offset = 0;
  for (const Piece& piece : layout.pieces()) {
    const std::uint64_t length = piece.one_round ? piece.size() : layout.slice(piece, rank).size();
    for (std::uint32_t from = 0; from < ranks_; ++from) {
      const std::uint64_t size = from == rank ? 0 : length * parts.count(from);
      places_.push_back({offset, size, piece.one_round});
      offset += piece.one_round ? 2 * size : size;
    }
  }
  memory_.emplace(offset * sizeof(float));
}

std::span<float> Staging::at(std::uint32_t piece, std::uint32_t from, std::uint64_t round) {
  const Place& place = places_[std::size_t{piece} * ranks_ + from];
  const std::uint64_t shift = place.twice && round % 2 == 1 ? place.size : 0;
  auto* const floats = reinterpret_cast<float*>(memory_->bytes().data());
  return {floats + place.offset + shift, place.size};
}

}  // namespace dl::comm
