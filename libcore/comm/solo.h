// SPDX-License-Identifier: MIT
// A group of one: nothing to agree on.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "comm/communicator.h"
#include "comm/tree_sum.h"

namespace dl::comm {

// A word from another thread that the group is over. Set once.
class AbortFlag {
 public:
  void set(const std::string& reason);
  void check() const;  // throws RoundAborted once it is set

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> set_{false};
  std::string reason_;
};

class Solo : public Communicator {
 public:
  Solo(const SumPlan& plan, std::span<float> result, std::shared_ptr<AbortFlag> aborted);

  std::uint32_t rank() const override { return 0; }
  std::uint32_t size() const override { return 1; }
  void start(std::size_t bucket, std::span<const float* const> partials) override;
  void wait(std::size_t) override { aborted_->check(); }
  void post(ByteView record) override;
  ByteView collect() override;
  ByteView gather(ByteView mine, std::span<const std::uint32_t> sizes) override;

 private:
  std::vector<SumPlan::Bucket> buckets_;
  TreeSum sum_;
  std::span<float> result_;
  std::vector<const float*> at_;
  Bytes record_, gathered_;
  std::shared_ptr<AbortFlag> aborted_;
};

}  // namespace dl::comm
