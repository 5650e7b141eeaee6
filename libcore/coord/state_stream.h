// SPDX-License-Identifier: MIT
// A whole state as frames: StateBegin, chunks of raw float32, StateEnd. The same both ways, on the
// loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "coord/mailbox.h"
#include "net/connection.h"

namespace dl::coord {

inline constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

// Takes a state that comes. Its size is known beforehand; nothing is allocated before StateBegin.
// Whatever does not fit fails with 65, which ends the connection.
class StateReader {
 public:
  void expect(std::uint64_t floats) { floats_ = floats; }
  void begin(const StateBegin& message);
  void chunk(ByteView payload);
  State end(const StateEnd& message);

 private:
  std::optional<std::uint64_t> floats_;
  std::optional<State> state_;
  std::size_t filled_ = 0;
};

// What goes out on a connection, in order. A state goes chunk by chunk as the peer takes them,
// without a copy; messages behind it wait for its end, urgent ones (heartbeats) do not.
class Outbox {
 public:
  explicit Outbox(std::shared_ptr<net::Connection> connection);

  template <typename M>
  void send(M message) {
    put([message = std::move(message)](net::Connection& connection) { connection.send(message); });
  }
  template <typename M>
  void send_urgent(const M& message) {
    state_->connection->send(message);
  }
  // The state is held until its last byte is written.
  void send_state(std::shared_ptr<const State> state);
  // Calls `work` when all that was put before is with the connection (not yet with the system).
  void then(std::function<void()> work) {
    put([work = std::move(work)](net::Connection&) { work(); });
  }
  bool idle() const { return !state_->streaming && state_->waiting.empty(); }

 private:
  using Work = std::function<void(net::Connection&)>;
  struct Inner : std::enable_shared_from_this<Inner> {
    std::shared_ptr<net::Connection> connection;
    std::deque<Work> waiting;
    std::shared_ptr<const State> streaming;
    std::size_t at = 0;
    void stream();
    void go_on();
  };
  void put(Work work);

  std::shared_ptr<Inner> state_;
};

}  // namespace dl::coord
