// SPDX-License-Identifier: MIT
// The thread that writes checkpoints, so that no fsync holds up a heartbeat.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "coord/coordinator.h"
#include "coord/mailbox.h"
#include "net/loop.h"

namespace dl::coord {

// Owned by the server, used on its loop. What the server holds is only shared, never copied.
//
// Where checkpoints come faster than the disk takes them, the older ones of those that wait are left out:
// a few wait, the newest is always written, and neither memory nor the end of a run waits for a long queue.
class Writer {
 public:
  // Writes a state that nodes of this arithmetic made and gives the path of the file; called on the
  // writer's thread, throws Error.
  using Write = std::function<std::string(const State&, StateReason, const std::string& arithmetic)>;

  // `done` is called on the loop with Written or WriteFailed.
  Writer(net::Loop& loop, Write write, std::function<void(Event)> done);
  ~Writer();  // waits for the file that is being written; what is queued behind it is dropped
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void put(std::shared_ptr<const State> state, StateReason reason, std::string arithmetic);
  static constexpr std::size_t kMostWaiting = 4;  // of a reason

 private:
  struct Job {
    std::shared_ptr<const State> state;
    StateReason reason;
    std::string arithmetic;
  };
  void work();
  Event write(const Job& job) const;

  net::Loop& loop_;
  Write write_;
  std::function<void(Event)> done_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool leave_ = false;
  std::thread thread_;
};

}  // namespace dl::coord
