// SPDX-License-Identifier: MIT
#include "comm/alarm.h"

#include "comm/communicator.h"

namespace dl::comm {

void Alarm::abort(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (aborted_) return;
  aborted_ = true;
  reason_ = reason;
  ++words_;
  if (ring_) ring_();
}

void Alarm::lose(std::uint32_t rank, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  lost_.push_back({rank, reason});
  ++words_;
  if (ring_) ring_();
}

void Alarm::check() const {
  if (words() == 0) return;
  const std::lock_guard lock(mutex_);
  if (aborted_) throw RoundAborted(reason_);
}

std::vector<Alarm::Lost> Alarm::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

void Alarm::on_raise(std::function<void()> ring) {
  const std::lock_guard lock(mutex_);
  ring_ = std::move(ring);
}

}  // namespace dl::comm
