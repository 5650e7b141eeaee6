// SPDX-License-Identifier: MIT
// Time and connections without a clock or a socket: what happens, and in which order, follows from a seed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "base/rng.h"

namespace dl::test {

inline constexpr std::int64_t kMs = 1'000'000;

// What is to happen, by the time when it does; at one time, in the order in which it was planned.
class SimulatedTime {
 public:
  std::int64_t now() const { return now_; }
  void after(std::int64_t ns, std::function<void()> work) { plan_.emplace(std::pair(now_ + ns, ++count_), std::move(work)); }
  void step() {  // to the next that was planned
    auto next = plan_.extract(plan_.begin());
    now_ = next.key().first;
    next.mapped()();
  }

 private:
  std::int64_t now_ = 0;
  std::uint64_t count_ = 0;
  std::map<std::pair<std::int64_t, std::uint64_t>, std::function<void()>> plan_;
};

// One direction of a connection. What is sent arrives in order, each piece after a delay of its own; pieces on
// other connections overtake it. A line that is silenced carries nothing for a while and loses nothing.
class SimulatedLine : public std::enable_shared_from_this<SimulatedLine> {
 public:
  SimulatedLine(SimulatedTime& time, Rng& rng) : time_(time), rng_(rng) {}

  void send(std::function<void()> arrive) {
    if (closed_) return;
    queue_.push_back(std::move(arrive));
    plan(delay());
  }
  // Behind what was sent: the other end learns that nothing more comes.
  void close(std::function<void()> closed) {
    send(std::move(closed));
    closed_ = true;
  }
  // The connection breaks: only the first pieces of what is under way still arrive.
  void cut(std::function<void()> closed) {
    if (closed_) return;
    queue_.resize(rng_.below(queue_.size() + 1));
    close(std::move(closed));
  }
  // Nobody hears what is under way any more, nor what is sent from now on.
  void deafen() {
    queue_.clear();
    closed_ = true;
  }
  void silence(std::int64_t ns) { silent_until_ = std::max(silent_until_, time_.now() + ns); }

 private:
  std::int64_t delay() {  // mostly a local network's, now and then a bad moment
    const auto us = static_cast<std::int64_t>(rng_.below(16) == 0 ? rng_.below(400'000) : 50 + rng_.below(4'000));
    return us * 1000;
  }
  void plan(std::int64_t in) {
    due_ = std::max({due_ + 1, time_.now() + in, silent_until_});
    time_.after(due_ - time_.now(), [self = shared_from_this()] { self->deliver(); });
  }
  // One piece for each time that was planned; whose it is, the queue knows.
  void deliver() {
    if (queue_.empty()) return;
    if (silent_until_ > time_.now()) {
      plan(silent_until_ - time_.now());
      return;
    }
    const std::function<void()> arrive = std::move(queue_.front());
    queue_.pop_front();
    arrive();
  }

  SimulatedTime& time_;
  Rng& rng_;
  std::deque<std::function<void()>> queue_;
  std::int64_t due_ = 0, silent_until_ = 0;
  bool closed_ = false;
};

}  // namespace dl::test
