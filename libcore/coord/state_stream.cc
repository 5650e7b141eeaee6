// SPDX-License-Identifier: MIT
#include "coord/state_stream.h"

#include <algorithm>
#include <cstring>

namespace dl::coord {

void StateReader::begin(const StateBegin& message) {
  if (!floats_) fail(Exit::data, "a state came before its size was known");
  if (state_) fail(Exit::data, "a state came within another");
  state_ = State{message.step, message.reason, message.cursor.str(), {}};
  state_->values.resize(*floats_);
  filled_ = 0;
}

void StateReader::chunk(ByteView payload) {
  if (!state_) fail(Exit::data, "a part of a state came before its begin");
  const std::size_t size = state_->values.size() * sizeof(float);
  if (payload.empty() || payload.size() % sizeof(float) != 0 || payload.size() > size - filled_) {
    fail(Exit::data, "a part of {} bytes where {} of the state's {} are missing", payload.size(),
         size - filled_, size);
  }
  std::memcpy(reinterpret_cast<std::byte*>(state_->values.data()) + filled_, payload.data(), payload.size());
  filled_ += payload.size();
}

State StateReader::end(const StateEnd& message) {
  if (!state_ || filled_ != state_->values.size() * sizeof(float) || message.step != state_->step) {
    fail(Exit::data, "a state ended in its middle");
  }
  State state = std::move(*state_);
  state_.reset();
  return state;
}

Outbox::Outbox(std::shared_ptr<net::Connection> connection) : state_(std::make_shared<Inner>()) {
  state_->connection = std::move(connection);
}

void Outbox::put(Work work) {
  if (idle()) {
    work(*state_->connection);
  } else {
    state_->waiting.push_back(std::move(work));
  }
}

void Outbox::send_state(std::shared_ptr<const State> state) {
  put([weak = std::weak_ptr(state_), state = std::move(state)](net::Connection& connection) {
    const auto inner = weak.lock();
    if (!inner) return;
    connection.send(StateBegin{state->step, state->reason, state->cursor});
    inner->streaming = state;
    inner->at = 0;
    inner->stream();
  });
}

void Outbox::Inner::stream() {
  const ByteView bytes = as_bytes_of(std::span<const float>(streaming->values));
  if (at == bytes.size()) {
    connection->send(StateEnd{streaming->step});
    streaming.reset();
    go_on();
    return;
  }
  const ByteView piece = bytes.subspan(at, std::min(kChunkBytes, bytes.size() - at));
  at += piece.size();
  // The frame holds the floats itself: it may outlive this outbox.
  connection->send_bulk(net::Type::state_chunk, 0, 0, std::span(&piece, 1),
                        [weak = weak_from_this(), held = streaming] {
                          if (const auto inner = weak.lock()) inner->stream();
                        });
}

void Outbox::Inner::go_on() {
  while (!streaming && !waiting.empty()) {
    const Work work = std::move(waiting.front());
    waiting.pop_front();
    work(*connection);
  }
}

}  // namespace dl::coord
