// SPDX-License-Identifier: MIT
#include "comm/bell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>

namespace dl::comm {

namespace {

// std::atomic has no wait between processes.
void futex(std::uint32_t* word, int operation, std::uint32_t value) {
  ::syscall(SYS_futex, word, operation, value, nullptr, nullptr, 0);
}

}  // namespace

void ring_loudly(BellWords& words) {
  std::atomic_ref(words.count).fetch_add(1);
  futex(&words.count, FUTEX_WAKE, INT_MAX);
}

void ring(BellWords& words) {
  if (std::atomic_ref(words.asleep).load() != 0) ring_loudly(words);
}

void sleep_unless(BellWords& words, const std::function<bool()>& met) {
  std::atomic_ref(words.asleep).store(1);
  const std::uint32_t before = std::atomic_ref(words.count).load();
  if (!met()) futex(&words.count, FUTEX_WAIT, before);
  std::atomic_ref(words.asleep).store(0);
}

}  // namespace dl::comm
