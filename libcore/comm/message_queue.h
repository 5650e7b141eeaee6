// SPDX-License-Identifier: MIT
// The messages that have come for a rank, in order, until it takes them.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "comm/communicator.h"

namespace dl::comm {

// Any thread puts and aborts; one at a time takes.
class MessageQueue {
 public:
  void put(Message message);
  // Throws RoundAborted after abort(), also instead of what was put before; after lose() where it would
  // have to wait.
  std::optional<Message> take(bool wait);
  void abort(const std::string& reason);  // the first reason stays
  void lose(const std::string& reason);   // somebody puts no more; the first reason stays

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> messages_;
  std::optional<std::string> aborted_, lost_;
};

// The pieces as one message; 70 where they are longer than `most`.
Message joined(std::uint32_t from, std::uint64_t tag, std::span<const ByteView> pieces, std::uint64_t most);

}  // namespace dl::comm
