// SPDX-License-Identifier: MIT
// The node's end of the conversation with the coordinator (messages.h).
//
// Owned by the node. It lives on the node's net::Loop (the I/O thread) and answers heartbeats there,
// whatever the training thread does. What the coordinator says arrives in the mailbox, in order; the
// training thread takes it from there and answers through send().
//
// What a node owes the coordinator:
// - Welcome: read configuration and manifest, expect_state(), then Ready; or Refuse with a code.
// - Pause, at any time after Ready, also after Done: leave the current generation, answer Paused with
//   the Pause's generation. Another Pause may follow; the newest counts.
// - Load: hold these shards, then Loaded. What is missing is asked for by Fetch (coord/fetch.h); a Pause
//   that comes meanwhile ends the Load.
// - State: take it over; the Start that follows names its step.
// - Start: the highest step of the group is Start.step. At step 0 without a State, make the
//   parameters from the seed. A Start at the run's last step asks rank 0 for the final state and
//   everyone for Done once more: the group has changed after the last step.
// - Refuse, Goodbye: end with the code. CoordinatorLost too, unless the connection broke: then another
//   client may take up the conversation, from Hello on, with the state that the node has.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "coord/mailbox.h"
#include "coord/messages.h"
#include "net/credentials.h"
#include "net/loop.h"


namespace dl::coord {

struct ClientSettings {
  std::string coordinator;     // "host:port"
  std::shared_ptr<const net::Credentials> credentials;  // without them the conversation is plain
  std::string credentials_name;  // for messages: "the key in FILE"
  double wait_seconds = 60;    // how long to try to reach it
  Hello hello;                 // said as soon as the connection stands
  // Reported with each heartbeat; the training thread lets it grow while work goes on.
  const std::atomic<std::uint64_t>* progress = nullptr;
  // Called on the I/O thread when a Pause arrives, before it is in the mailbox: aborts the
  // communicator, so that a training thread in the middle of a round comes back. Also called when the
  // conversation ends: with the generation after the newest that was started where it broke, with 0 where
  // it is over for good (Refuse, Goodbye, nobody there). May be empty.
  std::function<void(std::uint32_t generation)> on_pause;
};

// A coordinator says something every heartbeat, which Welcome tells (0: not told yet); one that is silent for so
// long is lost.
net::Milliseconds silence_limit(std::uint32_t heartbeat_ms);

class Client {
 public:
  // The loop must outlive the client. Connecting begins when the loop runs.
  Client(net::Loop& loop, ClientSettings settings);
  // Closes the connection. Only when the loop no longer runs, or on its thread.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Mailbox& mailbox();

  // The rest may be called from any thread.

  // The size of a whole state, from the local model. A State of any other size ends the conversation.
  void expect_state(std::uint64_t floats);

  // Messages go out in the order of the calls. Nothing happens once the conversation is over.
  void send(const Ready& message);
  void send(const Paused& message);
  void send(const Loaded& message);
  void send(const Fetch& message);
  void send(const Progress& message);
  void send(const Pace& message);
  void send(const Updates& message);
  void send(const Report& message);
  void send(const Done& message);
  void send(const Refuse& message);
  void send(const Goodbye& message);
  // Streams the state behind what was sent before; later messages wait behind it, heartbeats do not.
  void send_state(State state);

  // Waits (not on the I/O thread) until everything was handed to the kernel, or for so many seconds.
  // True if it was.
  bool flush(double seconds);

 private:
  struct Conversation;
  std::shared_ptr<Conversation> conversation_;
};

}  // namespace dl::coord
