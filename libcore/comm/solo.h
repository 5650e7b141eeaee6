// SPDX-License-Identifier: MIT
// A group of one: nothing to agree on.
#pragma once

#include <memory>

#include "comm/alarm.h"
#include "comm/communicator.h"
#include "comm/memory.h"
#include "comm/message_queue.h"
#include "comm/tree_sum.h"

namespace dl::comm {

// Costs nothing: a single part is the result already. Several are added in the order of the tree.
class Solo : public Communicator {
 public:
  Solo(const SumPlan& plan, std::shared_ptr<Alarm> alarm);

  std::uint32_t rank() const override { return 0; }
  std::uint32_t size() const override { return 1; }
  std::string transport() const override { return "alone"; }
  std::span<float> part(std::size_t i) override { return vectors_[i]; }
  std::span<const float> result() const override { return vectors_[parts_ == 1 ? 0 : parts_]; }
  void start(std::size_t bucket) override;
  void wait(std::size_t) override { alarm_->check(); }
  void post(ByteView record) override;
  ByteView collect() override;
  ByteView gather(ByteView mine, std::span<const std::uint32_t> sizes) override;
  void send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces) override;
  std::optional<Message> take(bool wait) override;

 private:
  std::vector<SumPlan::Bucket> buckets_;
  std::uint64_t message_bytes_;
  TreeSum sum_;
  std::size_t parts_;
  Vectors vectors_;  // the parts; the result behind them where it is not the only part
  std::vector<const float*> at_;
  Bytes record_, gathered_;
  MessageQueue messages_;  // to itself
  std::shared_ptr<Alarm> alarm_;
};

}  // namespace dl::comm
