// SPDX-License-Identifier: MIT
// Waiting for ranks that share memory, which are threads or processes: a moment with open eyes, then
// asleep in the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace dl::comm {

// One rank's two words in shared memory, zero at first; a cache line of their own. `asleep` is set by
// the owner alone, `count` by whoever rings.
struct BellWords {
  std::uint32_t count;
  std::uint32_t asleep;
};

// Rings where the owner sleeps; what was stored before (sequentially consistent) is seen by it. Any
// thread of any process. Without a system call where nobody sleeps.
void ring(BellWords& words);
// Rings in any case.
void ring_loudly(BellWords& words);

// Sleeps until somebody rings, unless `met()`, asked after the bell is armed, is true; may return
// early. The owner's thread. met() has to see whatever is stored before a ring.
void sleep_unless(BellWords& words, const std::function<bool()>& met);

}  // namespace dl::comm
