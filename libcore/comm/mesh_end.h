// SPDX-License-Identifier: MIT
// What a rank gets when its group has met: an end over its connections, or over shared memory. Internal to comm.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "comm/communicator.h"
#include "comm/tcp_group.h"

namespace dl::comm {

// Leaves the group when it goes.
class Membership {
 public:
  explicit Membership(std::shared_ptr<TcpRounds> rounds) : rounds_(std::move(rounds)) {}
  ~Membership() {
    if (rounds_) rounds_->leave();
  }
  Membership(Membership&&) = default;
  Membership& operator=(Membership&&) = delete;

  TcpRounds* operator->() const { return rounds_.get(); }

 private:
  std::shared_ptr<TcpRounds> rounds_;
};

// To be called when all peers are there; all ranks do, and come to the same. Where all are near, rank 0
// makes a segment, the others open it, and every rank hears whether everybody has it; else sums go over the connections
// too, each bucket by the collective wished for; without a wish the ranks measure their links and choose.
std::unique_ptr<Communicator> mesh_end(Membership membership, const SumPlan& plan,
                                       std::optional<Collective> collective);

}  // namespace dl::comm
