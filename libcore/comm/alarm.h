// SPDX-License-Identifier: MIT
// What the I/O thread tells a training thread that may be waiting: the group is over, a peer is gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace dl::comm {

// Of one rank and one generation. Any thread.
class Alarm {
 public:
  struct Lost {
    std::uint32_t rank = 0;
    std::string reason;  // begins with who it was
  };

  void abort(const std::string& reason);  // the first reason stays
  void lose(std::uint32_t rank, const std::string& reason);

  // How much was said so far.
  std::uint32_t words() const { return words_.load(); }
  void check() const;  // throws RoundAborted once the group is over
  std::vector<Lost> lost() const;

  // Called after each word, on the thread that says it; an empty one ends that. When this returns, the
  // one before is not running and will not be called any more.
  void on_raise(std::function<void()> ring);

 private:
  mutable std::mutex mutex_;
  std::atomic<std::uint32_t> words_{0};
  bool aborted_ = false;
  std::string reason_;
  std::vector<Lost> lost_;
  std::function<void()> ring_;
};

}  // namespace dl::comm
