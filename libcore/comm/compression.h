// SPDX-License-Identifier: MIT
// What `--compress` says: how gradients are made smaller before they travel. No sockets here, so that
// dl-coord and a run's configuration can read it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dl::comm {

enum class Scheme { none, bf16, int8, topk, powersgd };

struct CompressionSpec {
  Scheme scheme = Scheme::none;
  double ratio = 0;        // topk: the part of the elements that is sent, above 0, at most 1
  std::uint32_t rank = 0;  // powersgd: 1 to 64
  bool operator==(const CompressionSpec&) const = default;
};

// "none", "bf16", "int8", "topk=RATIO", "powersgd=RANK"; 64 with what is allowed where it is none of them.
CompressionSpec parse_compression(std::string_view text);
// A text that parse_compression() reads back.
std::string text_of(const CompressionSpec& spec);

// topk's ratio in an epoch (from 0), which warms up as Lin et al. 2018 (section 3.3) have it: a quarter of
// the elements in the first epoch and a quarter of that in each further one, until RATIO is reached.
double warm_ratio(double ratio, std::uint64_t epoch);

}  // namespace dl::comm
