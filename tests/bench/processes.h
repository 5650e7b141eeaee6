// SPDX-License-Identifier: MIT
// What benchmarks of several processes need of the system.
#pragma once

#include <sched.h>
#include <sys/resource.h>

#include <cstdint>

#include "base/error.h"

namespace dl::bench {

// This process, on one of the cores that there are.
inline void pin(std::uint32_t rank) {
  cpu_set_t allowed, one;
  CPU_ZERO(&one);
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  int skip = static_cast<int>(rank) % CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    CPU_SET(cpu, &one);
    break;
  }
  if (::sched_setaffinity(0, sizeof one, &one) != 0) fail(Exit::bug, "a core of its own is refused");
}

// Of this process, all its threads, user and system.
inline double processor_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace dl::bench
