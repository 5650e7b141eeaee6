// SPDX-License-Identifier: MIT
#include "base/workers.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dl {

void flush_denormals() {
#if defined(__x86_64__)
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
#endif
}

struct Workers::Team {
  std::mutex mutex;
  std::condition_variable changed;
  const std::function<void(unsigned)>* work = nullptr;
  std::atomic<std::uint64_t> call{0};  // grows by one at each run()
  std::atomic<unsigned> busy{0};
  std::atomic<bool> end{false};
  std::exception_ptr error;
  std::vector<std::thread> threads;

  void attempt(unsigned member) {
    try {
      (*work)(member);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }

  // Steps follow each other within microseconds while training: a short spin saves two switches.
  template <typename Condition>
  void wait(Condition met) {
    for (int spin = 0; spin < 2000; ++spin) {
      if (met()) return;
#if defined(__x86_64__)
      _mm_pause();
#endif
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, met);
  }

  void serve(unsigned member) {
    flush_denormals();
    std::uint64_t seen = 0;
    for (;;) {
      wait([&] { return end.load() || call.load() != seen; });
      if (end.load()) return;
      ++seen;
      attempt(member);
      if (busy.fetch_sub(1) == 1) {
        const std::lock_guard lock(mutex);
        changed.notify_all();
      }
    }
  }
};

Workers::Workers(unsigned threads) : team_(std::make_unique<Team>()) {
  for (unsigned member = 1; member < threads; ++member) {
    team_->threads.emplace_back([team = team_.get(), member] { team->serve(member); });
  }
}

Workers::~Workers() {
  {
    const std::lock_guard lock(team_->mutex);
    team_->end = true;
    team_->changed.notify_all();
  }
  for (std::thread& thread : team_->threads) thread.join();
}

unsigned Workers::size() const { return static_cast<unsigned>(team_->threads.size()) + 1; }

void Workers::run(const std::function<void(unsigned)>& work) {
  if (team_->threads.empty()) {
    work(0);
    return;
  }
  {
    const std::lock_guard lock(team_->mutex);
    team_->error = nullptr;
    team_->work = &work;
    team_->busy = static_cast<unsigned>(team_->threads.size());
    team_->call.fetch_add(1);
    team_->changed.notify_all();
  }
  team_->attempt(0);
  team_->wait([&] { return team_->busy.load() == 0; });
  if (team_->error) std::rethrow_exception(team_->error);
}

}  // namespace dl
