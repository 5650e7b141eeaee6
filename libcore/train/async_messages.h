// SPDX-License-Identifier: MIT
// What ranks of mode async say to each other (comm::Message). Internal to train/async.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace dl::train {

enum AsyncTag : std::uint64_t {
  kGradient,  // to an owner: u32 unit, u32 zero, u64 step, u64 version read, by shard of the unit f64 weight; the
              // part's floats, or what comm::PartCodes makes of them
  kValues,    // from an owner: u64 version, by rank u64 steps applied; the part's floats
  kTaken,     // to an owner: its values are taken
  kNorm,      // from an owner: u64 version that an update is made to, f64 weight; its share of the squares
  kReached,   // to all: u64 first step of the round, u64 steps begun; this rank stops there
  kStop,      // to oneself: the serving thread ends
};

template <typename T>
void put_all(Bytes& out, const std::vector<T>& values) {
  const ByteView bytes = as_bytes_of(std::span<const T>(values));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <typename T>
std::vector<T> get_all(ByteReader& in, std::size_t count) {
  std::vector<T> values(count);
  const ByteView bytes = in.take(count * sizeof(T));
  if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace dl::train
