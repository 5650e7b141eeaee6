// SPDX-License-Identifier: MIT
#include "comm/solo.h"

namespace dl::comm {

void AbortFlag::set(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (set_) return;
  reason_ = reason;
  set_ = true;
}

void AbortFlag::check() const {
  if (!set_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  throw RoundAborted(reason_);
}

Solo::Solo(const SumPlan& plan, std::span<float> result, std::shared_ptr<AbortFlag> aborted)
    : buckets_(plan.buckets),
      sum_(plan.shards, plan.parts_of_rank.at(0)),
      result_(result),
      at_(plan.parts_of_rank.at(0).size()),
      aborted_(std::move(aborted)) {}

void Solo::start(std::size_t bucket, std::span<const float* const> partials) {
  aborted_->check();
  const SumPlan::Bucket range = buckets_.at(bucket);
  if (partials.size() == 1 && partials[0] == result_.data()) return;
  for (std::size_t i = 0; i < at_.size(); ++i) at_[i] = partials[i] + range.begin;
  sum_.add(at_, result_.data() + range.begin, range.end - range.begin);
}

void Solo::post(ByteView record) { record_.assign(record.begin(), record.end()); }

ByteView Solo::collect() {
  aborted_->check();
  return record_;
}

ByteView Solo::gather(ByteView mine, std::span<const std::uint32_t>) {
  aborted_->check();
  gathered_.assign(mine.begin(), mine.end());
  return gathered_;
}

}  // namespace dl::comm
