// SPDX-License-Identifier: MIT
// A connection that carries frames.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "net/frame.h"
#include "net/loop.h"

namespace dl::net {

class Stream;

// Everything here happens on the loop's thread. The holder of the shared_ptr owns the connection:
// letting it go closes the socket at once, without a callback; close() lets pending frames out first.
//
// An Error thrown by a callback (a message that does not decode, a step nobody asked for) ends this
// connection with the error's text as the reason; it does not reach the loop.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Events {
    // A control frame is here, checked. The payload's bytes are valid during the call, at any
    // alignment.
    std::function<void(const Header&, ByteView payload)> message;
    // The header of a bulk frame is here: says where its payload goes, exactly header.length bytes.
    // Without this callback bulk frames are refused.
    std::function<std::span<std::byte>(const Header&)> place;
    // The payload lies where place() said.
    std::function<void(const Header&)> placed;
    // The connection is over, not by our own close(). Last of all callbacks. `reason` is for people:
    // "connection reset by peer", "closed by peer in the middle of a frame", ...
    std::function<void(const std::string& reason)> closed;
  };

  Connection(Loop& loop, std::unique_ptr<Stream> stream, std::string peer,
             std::string local_host = {});
  ~Connection();

  // Starts to read. Called again, replaces the callbacks (also from within one).
  void open(Events events);
  // Frames that come must not be longer than this; for a peer that is not known yet. 0: as their type
  // allows.
  void bound(std::uint32_t most_bytes) { most_bytes_ = most_bytes; }
  // The peer must not be silent for longer than this; 0: it may.
  void idle_limit(Milliseconds limit);

  // Queues a frame; what is queued within one callback goes out together. Without effect on a closed
  // connection.
  template <typename M>
  void send(const M& message, std::uint32_t generation = 0) {
    send(M::type, encode(message), generation);
  }
  void send(Type type, ByteView payload, std::uint32_t generation = 0);  // copies the payload
  // Queues a frame whose payload is these pieces one after the other, without copying them: they stay
  // as they are until `sent`, or until the connection is gone. `sequence` is the sender's business
  // where the type is bulk; other frames are numbered as by send().
  void send_bulk(Type type, std::uint32_t generation, std::uint64_t sequence,
                 std::span<const ByteView> pieces, std::function<void()> sent = {});
  // Writes what is queued now, instead of at the end of the callback.
  void flush();
  std::size_t queued() const;  // bytes not yet handed to the system

  // Writes what is queued, then closes; waits for it on its own, for at most `patience`. No callback
  // of Events is called any more. `done` is called when the peer has closed, or patience ended.
  void close(std::function<void()> done = {}, Milliseconds patience = Milliseconds(2000));
  // Closes at once; `closed` is called with the reason, from the loop, not from within this call.
  void abort(const std::string& reason);

  // Closes at once, without a callback: when this returns, no byte of what was given to send_bulk() or by
  // place() is touched any more.
  void drop();

  bool is_open() const { return state_ == State::open; }
  const std::string& peer() const { return peer_; }            // "127.0.0.1:7000"
  const std::string& peer_host() const { return peer_host_; }  // "127.0.0.1"
  // Our own address on this connection, where a listener made it: what the peer found us at.
  const std::string& local_host() const { return local_host_; }

 private:
  enum class State { idle, open, closing, closed };
  struct Outgoing {
    Bytes owned;                   // header, and the payload of a control frame
    std::vector<ByteView> pieces;  // of a bulk frame
    std::size_t size = 0;
    std::function<void()> sent;
  };

  void enqueue(Outgoing frame);
  bool write_once();  // false where it would block, failed, or nothing is left
  void wait_readable();
  void read_ready();
  std::size_t read_once(std::string& end);
  void parse(std::size_t fresh);
  void begin_frame(std::span<const std::byte, kHeaderBytes> head);
  void answer_plainly();
  void end_frame(ByteView payload);
  void end_quietly();
  void fail_soon(std::string reason);
  void finish(const std::string& reason);
  void watch_idle();

  static constexpr std::size_t kBufferBytes = 16 * 1024;

  Loop& loop_;
  std::unique_ptr<Stream> stream_;
  std::string peer_, peer_host_, local_host_;
  std::shared_ptr<Events> events_;
  State state_ = State::idle;
  std::uint32_t most_bytes_ = 0;

  std::deque<Outgoing> out_;
  std::size_t front_written_ = 0;
  std::size_t queued_ = 0;
  std::uint64_t next_out_ = 0;
  bool flush_posted_ = false, write_waits_ = false, writing_ = false, failing_ = false;

  std::vector<std::byte> buffer_;   // bytes [begin_, end_) are read and not yet taken
  std::size_t begin_ = 0, end_ = 0;
  Header header_;                   // of the frame whose payload is being read
  bool in_frame_ = false;
  std::span<std::byte> target_;     // where that payload goes
  std::size_t target_filled_ = 0;
  Bytes payload_;                   // of a control frame longer than what was read at once
  std::uint64_t next_in_ = 0;

  Milliseconds idle_limit_{0};
  std::int64_t last_read_ns_ = 0;
  Timer idle_timer_, linger_timer_;
  std::function<void()> done_;
};

}  // namespace dl::net
