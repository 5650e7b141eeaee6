// SPDX-License-Identifier: MIT
// Time for people and deadlines. Nothing that reaches the parameters may look at it.
#pragma once

#include <cstdint>
#include <string>

namespace dl {

// Nanoseconds on the monotonic clock; only differences mean anything.
std::int64_t monotonic_ns();

inline double seconds_between(std::int64_t from_ns, std::int64_t to_ns) {
  return static_cast<double>(to_ns - from_ns) * 1e-9;
}

// "2026-01-31T12:00:00Z"
std::string utc_now();

}  // namespace dl
