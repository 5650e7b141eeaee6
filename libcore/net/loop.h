// SPDX-License-Identifier: MIT
// The I/O thread: sockets, timers and signals, one callback at a time.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>

namespace dl::net {

using Milliseconds = std::chrono::milliseconds;

// Connections, listeners and timers belong to a loop: they are made, used and destroyed on its
// thread, or while it does not run. Only post(), call(), stop() and inside() may be used by any
// thread.
class Loop {
 public:
  Loop();
  ~Loop();  // stop()
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs the callbacks on a thread of its own. An exception that leaves a callback is handed to `failed`, on the
  // loop's thread, and the loop goes on, so that whoever waits can be told; without `failed` it ends the process.
  void start(std::function<void(std::exception_ptr)> failed = {});
  // Runs them on the caller's thread until stop(). Exceptions pass through.
  void run();
  // Ends the loop after the callback that runs now; waits for the thread that start() made, unless
  // called on it. What was posted and did not run stays undone.
  void stop();

  void post(std::function<void()> work);
  // Does `work` on the loop and waits for it; exceptions come back. On the loop's thread, or where the
  // loop does not run, this is a plain call.
  void call(const std::function<void()>& work);
  bool inside() const;  // on the loop's thread, or the loop does not run

  struct Core;  // net/asio.h
  Core& core() { return *core_; }

 private:
  std::unique_ptr<Core> core_;
};

// One alarm. Setting it again replaces it; destroying it cancels it.
class Timer {
 public:
  explicit Timer(Loop& loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void after(Milliseconds delay, std::function<void()> work);
  void cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Calls `arrived` with the number of each of these signals, on the loop, instead of their default
// action; as long as the object lives.
class Signals {
 public:
  Signals(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> arrived);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dl::net
