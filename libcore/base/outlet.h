// SPDX-License-Identifier: MIT
// Text for a reader who may be slow, stand still or leave: a pipe, a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace dl {

// A descriptor that is written by a thread of its own (made for the first line), from a queue: who has something to
// say never waits for who reads. Any thread may call. Nothing is lost as long as no more than `most` bytes wait;
// beyond that the oldest lines are left out, and where they would have been stands what `gap` says of their number.
class Outlet {
 public:
  using Gap = std::function<std::string(std::uint64_t lines)>;
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20;

  // The descriptor stays open, and is the caller's.
  Outlet(int descriptor, Gap gap, std::size_t most = kMostBytes);
  // Gives the reader a second after the last thing that it took. What it has not taken then is not written, and the
  // thread, should a write hold it, ends with the process.
  ~Outlet();
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;

  void put(std::string line);  // with its line end; written by one call, unless it is very long
  bool idle() const;           // nothing waits and nothing is being written

  // Waits until all was written or the reader has left; false where it took nothing for `patience` (none: for ever).
  bool drain(std::optional<std::chrono::milliseconds> patience);

  struct Loss {
    std::uint64_t lines = 0;   // left out, not taken, or not written because of an error
    int error_number = 0;      // of the first write that failed; a reader that left is no failure
  };
  Loss loss() const;

 private:
  struct State;
  static std::thread started(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
  std::thread thread_;  // under the state's mutex
};

}  // namespace dl
