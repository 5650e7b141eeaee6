// SPDX-License-Identifier: MIT
// A communicator that stands before another one, and leaves to it all but the sums. Internal to comm.
#pragma once

#include <memory>

#include "comm/communicator.h"

namespace dl::comm {

class Before : public Communicator {
 public:
  std::uint32_t rank() const override { return inner_->rank(); }
  std::uint32_t size() const override { return inner_->size(); }
  std::string transport() const override { return inner_->transport(); }
  void post(ByteView record) override { inner_->post(record); }
  ByteView collect() override { return inner_->collect(); }
  ByteView gather(ByteView mine, std::span<const std::uint32_t> sizes) override {
    return inner_->gather(mine, sizes);
  }
  void send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces) override {
    inner_->send(to, tag, pieces);
  }
  std::optional<Message> take(bool wait) override { return inner_->take(wait); }

 protected:
  std::unique_ptr<Communicator> inner_;  // to be made by who derives, with a plan of its own
};

}  // namespace dl::comm
