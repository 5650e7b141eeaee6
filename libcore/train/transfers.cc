// SPDX-License-Identifier: MIT
#include "train/transfers.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"

namespace dl::train {

void Transfers::send(std::uint32_t to, std::uint64_t tag, ByteView bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += kMessageBytes) {
    const ByteView piece = bytes.subspan(at, std::min<std::size_t>(kMessageBytes, bytes.size() - at));
    group_.send(to, tag, {&piece, 1});
  }
}

void Transfers::take(std::uint32_t from, std::uint64_t tag, std::span<std::byte> out) {
  for (std::size_t at = 0; at < out.size();) {
    std::deque<comm::Message>& queue = come_.at(from);
    if (queue.empty()) {
      const std::int64_t begin = monotonic_ns();
      while (queue.empty()) {
        comm::Message message = *group_.take(true);
        come_.at(message.from).push_back(std::move(message));
      }
      waited_ += seconds_between(begin, monotonic_ns());
    }
    const std::size_t due = std::min<std::size_t>(kMessageBytes, out.size() - at);
    const comm::Message& next = queue.front();
    if (next.tag != tag || next.payload.size() != due) {
      fail(Exit::disagree, "rank {} sent {} bytes under tag {:x}, where {} under {:x} are due", from,
           next.payload.size(), next.tag, due, tag);
    }
    std::memcpy(out.data() + at, next.payload.data(), due);
    at += due;
    queue.pop_front();
  }
}

}  // namespace dl::train
