// SPDX-License-Identifier: MIT
#include "comm/message_queue.h"

#include "base/error.h"

namespace dl::comm {

void MessageQueue::put(Message message) {
  {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  }
  changed_.notify_one();
}

std::optional<Message> MessageQueue::take(bool wait) {
  std::unique_lock lock(mutex_);
  if (wait) changed_.wait(lock, [this] { return aborted_ || lost_ || !messages_.empty(); });
  if (aborted_) throw RoundAborted(*aborted_);
  if (messages_.empty()) {
    if (wait) throw RoundAborted(*lost_);
    return std::nullopt;
  }
  std::optional<Message> first(std::move(messages_.front()));
  messages_.pop_front();
  return first;
}

void MessageQueue::abort(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (!aborted_) aborted_ = reason;
  changed_.notify_all();
}

void MessageQueue::lose(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (!lost_) lost_ = reason;
  changed_.notify_all();
}

Message joined(std::uint32_t from, std::uint64_t tag, std::span<const ByteView> pieces, std::uint64_t most) {
  std::uint64_t size = 0;
  for (const ByteView piece : pieces) size += piece.size();
  if (size > most) fail(Exit::bug, "a message of {} bytes, where {} are the most", size, most);
  Message message{from, tag, {}};
  message.payload.reserve(size);
  for (const ByteView piece : pieces) message.payload.insert(message.payload.end(), piece.begin(), piece.end());
  return message;
}

}  // namespace dl::comm
