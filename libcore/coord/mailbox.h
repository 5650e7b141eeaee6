// SPDX-License-Identifier: MIT
// What the I/O thread of a node hands to its training thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "coord/files.h"
#include "coord/messages.h"

namespace dl::coord {

// A whole state: what StateBegin, its chunks and StateEnd carry.
struct State {
  std::uint64_t step = 0;
  StateReason reason = StateReason::asked;
  std::string cursor;         // JSON (train/cursor.h)
  std::vector<float> values;  // parameters, then the slots, as they lie in a checkpoint
};

// The conversation is over: nobody was there (69), the connection broke (69), the coordinator was
// silent for too long (69), or said something that makes no sense (76).
struct CoordinatorLost {
  Exit code = Exit::unavailable;
  std::string reason;
  bool broken = false;  // it was there: the connection broke, or it was silent; it may come back
};

using Incoming = std::variant<Welcome, Pause, SendState, State, Load, FilePiece, Start, Signal, Refuse,
                              Goodbye, CoordinatorLost>;

// First in, first out; any thread puts, one takes.
class Mailbox {
 public:
  void put(Incoming item) {
    {
      const std::lock_guard lock(mutex_);
      items_.push_back(std::move(item));
    }
    filled_.notify_one();
  }

  Incoming take() {  // waits for one
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [this] { return !items_.empty(); });
    return pop();
  }

  std::optional<Incoming> try_take() {
    const std::lock_guard lock(mutex_);
    if (items_.empty()) return std::nullopt;
    return pop();
  }

 private:
  Incoming pop() {
    Incoming item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Incoming> items_;
};

}  // namespace dl::coord
