// SPDX-License-Identifier: MIT
#include "base/outlet.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <string_view>
#include <utility>

namespace dl {

namespace {

constexpr std::size_t kPiece = 16 << 10;  // what a write may hold up before drain() sees that the reader reads
constexpr std::chrono::milliseconds kLastPatience(1000);

}  // namespace

// Shared with the thread, which may outlive the outlet inside a write.
struct Outlet::State {
  State(int to, Gap say, std::size_t bound) : descriptor(to), gap(std::move(say)), most(bound) {}

  void work();
  int write(std::string_view text);

  const int descriptor;
  const Gap gap;
  const std::size_t most;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> waiting;
  std::size_t bytes = 0;         // of what waits
  std::uint64_t untold = 0;      // lines left out since `gap` was asked last
  std::uint64_t lost = 0, taken = 0;
  int error_number = 0;
  bool writing = false, leave = false, reader_left = false;
};

// 0, or the number of the error. Called without the mutex.
int Outlet::State::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), std::min(text.size(), kPiece));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {  // somebody who has the same open file made it so
      pollfd room{descriptor, POLLOUT, 0};
      ::poll(&room, 1, -1);
      continue;
    }
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
    const std::lock_guard lock(mutex);
    ++taken;
    changed.notify_all();
    if (leave) return 0;
  }
  return 0;
}

void Outlet::State::work() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return leave || !waiting.empty(); });
    if (leave) return;
    std::string text;
    if (untold > 0) {
      text = gap(std::exchange(untold, 0));
    } else {
      text = std::move(waiting.front());
      waiting.pop_front();
      bytes -= text.size();
    }
    writing = true;
    lock.unlock();
    const int error = write(text);
    lock.lock();
    writing = false;
    if (error == EPIPE) {
      reader_left = true;
      waiting.clear();
      bytes = untold = 0;
    } else if (error != 0) {
      ++lost;
      if (error_number == 0) error_number = error;
    }
    changed.notify_all();
  }
}

// Signals are the business of others; SIGPIPE, too, is an error number here.
std::thread Outlet::started(std::shared_ptr<State> state) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([state = std::move(state)] { state->work(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

Outlet::Outlet(int descriptor, Gap gap, std::size_t most)
    : state_(std::make_shared<State>(descriptor, std::move(gap), most)) {}

Outlet::~Outlet() {
  drain(kLastPatience);
  bool held = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->leave = true;
    held = state_->writing;
  }
  state_->changed.notify_all();
  if (thread_.joinable()) held ? thread_.detach() : thread_.join();
}

void Outlet::put(std::string line) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (s.reader_left || line.empty()) return;
  s.bytes += line.size();
  s.waiting.push_back(std::move(line));
  for (; s.bytes > s.most && s.waiting.size() > 1; s.waiting.pop_front()) {
    s.bytes -= s.waiting.front().size();
    ++s.untold;
    ++s.lost;
  }
  if (!thread_.joinable()) thread_ = started(state_);
  s.changed.notify_all();
}

bool Outlet::idle() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waiting.empty() && !state_->writing;
}

bool Outlet::drain(std::optional<std::chrono::milliseconds> patience) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  for (;;) {
    const auto done = [&s] { return s.waiting.empty() && !s.writing; };
    const auto moved = [&, before = s.taken] { return done() || s.taken != before; };
    if (!patience) {
      s.changed.wait(lock, moved);
    } else if (!s.changed.wait_for(lock, *patience, moved)) {
      return false;
    }
    if (done()) return true;
  }
}

Outlet::Loss Outlet::loss() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->lost + state_->waiting.size() + (state_->writing ? 1 : 0), state_->error_number};
}

}  // namespace dl
