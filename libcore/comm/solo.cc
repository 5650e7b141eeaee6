// SPDX-License-Identifier: MIT
#include "comm/solo.h"

#include "base/error.h"

namespace dl::comm {

Solo::Solo(const SumPlan& plan, std::shared_ptr<Alarm> alarm)
    : buckets_(plan.buckets),
      message_bytes_(plan.message_bytes),
      sum_(plan.shards, plan.parts_of_rank.at(0)),
      parts_(plan.parts_of_rank.at(0).size()),
      vectors_(parts_ == 1 ? 1 : parts_ + 1, plan.size()),
      at_(parts_),
      alarm_(std::move(alarm)) {}

void Solo::start(std::size_t bucket) {
  alarm_->check();
  if (parts_ == 1) return;
  const SumPlan::Bucket range = buckets_.at(bucket);
  for (std::size_t i = 0; i < parts_; ++i) at_[i] = vectors_[i].data() + range.begin;
  sum_.add(at_, vectors_[parts_].data() + range.begin, range.end - range.begin);
}

void Solo::post(ByteView record) { record_.assign(record.begin(), record.end()); }

ByteView Solo::collect() {
  alarm_->check();
  return record_;
}

ByteView Solo::gather(ByteView mine, std::span<const std::uint32_t>) {
  alarm_->check();
  gathered_.assign(mine.begin(), mine.end());
  return gathered_;
}

void Solo::send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces) {
  if (to != 0) fail(Exit::bug, "a message to rank {} of a group of one", to);
  alarm_->check();
  messages_.put(joined(0, tag, pieces, message_bytes_));
}

// Nobody else can put one: to wait for it would be to wait for ever.
std::optional<Message> Solo::take(bool wait) {
  alarm_->check();
  std::optional<Message> message = messages_.take(false);
  if (wait && !message) fail(Exit::bug, "a group of one waits for a message that it has not sent");
  return message;
}

}  // namespace dl::comm
