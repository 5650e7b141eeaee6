// SPDX-License-Identifier: MIT
#include "coord/writer.h"

#include <algorithm>
#include <csignal>

namespace dl::coord {

Writer::Writer(net::Loop& loop, Write write, std::function<void(Event)> done)
    : loop_(loop), write_(std::move(write)), done_(std::move(done)) {
  // Signals are the loop's business.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { work(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Writer::~Writer() {
  {
    const std::lock_guard lock(mutex_);
    leave_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Writer::put(std::shared_ptr<const State> state, StateReason reason, std::string arithmetic) {
  {
    const std::lock_guard lock(mutex_);
    const auto alike = [reason](const Job& job) { return job.reason == reason; };
    if (std::count_if(jobs_.begin(), jobs_.end(), alike) >= static_cast<std::ptrdiff_t>(kMostWaiting)) {
      jobs_.erase(std::find_if(jobs_.begin(), jobs_.end(), alike));
    }
    jobs_.push_back({std::move(state), reason, std::move(arithmetic)});
  }
  changed_.notify_one();
}

void Writer::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return leave_ || !jobs_.empty(); });
      if (leave_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    loop_.post([this, event = write(job)] { done_(event); });
  }
}

Event Writer::write(const Job& job) const {
  try {
    return event::Written{job.state->step, job.reason, write_(*job.state, job.reason, job.arithmetic)};
  } catch (const Error& error) {
    return event::WriteFailed{job.state->step, job.reason, error.what(), error.code()};
  } catch (const std::exception& error) {
    return event::WriteFailed{job.state->step, job.reason, error.what()};
  }
}

}  // namespace dl::coord
