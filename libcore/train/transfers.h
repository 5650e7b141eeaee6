// SPDX-License-Identifier: MIT
// Spans of bytes from rank to rank, where the receiver knows what is due: its sender, its tag and its length.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "comm/communicator.h"

namespace dl::train {

// Borrows the communicator. Used by the training thread. What two ranks send each other they take in the
// same order; of different senders, in any.
class Transfers {
 public:
  // For SumPlan::message_bytes: longer spans travel in pieces.
  static constexpr std::uint64_t kMessageBytes = std::uint64_t{1} << 20;

  explicit Transfers(comm::Communicator& group) : group_(group), come_(group.size()) {}

  void send(std::uint32_t to, std::uint64_t tag, ByteView bytes);
  // Fills `out`. 76 where the sender's next message has another tag, or a length that does not belong to a
  // span of out's size. Throws RoundAborted.
  void take(std::uint32_t from, std::uint64_t tag, std::span<std::byte> out);

  double waited() const { return waited_; }  // seconds in take()

 private:
  comm::Communicator& group_;
  std::vector<std::deque<comm::Message>> come_;  // by sender
  double waited_ = 0;
};

}  // namespace dl::train
