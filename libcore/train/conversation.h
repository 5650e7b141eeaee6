// SPDX-License-Identifier: MIT
// What a node has to do with others: the coordinator's words in their order, its own place among the nodes, signals.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "comm/mesh.h"
#include "coord/client.h"
#include "net/credentials.h"
#include "net/loop.h"
#include "train/node.h"

namespace dl::train {

// A fetch ended before its file was whole: something else came that has to be done first.
struct Interrupted {};

// Owns the node's I/O thread and what lives on it. Made, used and destroyed by the training thread; options and log
// outlive it. SIGTERM and SIGINT wake whoever waits here, once; a second one ends the process.
class Conversation {
 public:
  // Reads the key or the certificate, listens for other nodes, and begins to look for the coordinator.
  Conversation(const NodeOptions& options, const Log& log);
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  coord::Client& client() { return *client_; }
  comm::Mesh& mesh() { return *mesh_; }
  int signal() const { return signal_; }   // that came; 0: none
  void stir() { ++progress_; }             // work goes on: said with each heartbeat
  void check_credentials() const;          // fails where a certificate has run out

  // The next thing that is to be done, waited for.
  coord::Incoming next();
  // The next piece of a file. A Pause waits until the file is whole; the end of the conversation and a signal do not:
  // Interrupted.
  coord::FilePiece next_piece();
  // Between two steps: control bits for the next step's record. What cannot wait for the end of the step ends the
  // round with RoundAborted, and is the next thing.
  std::uint32_t wanted_bits();
  bool has_more() const { return !stash_.empty(); }  // set aside by the two before

  // Last words, and the exit code.
  int leave();
  int refuse(const Error& error);
  // Another conversation with a coordinator that broke off; what is not done is forgotten.
  void begin_again();

 private:
  net::Guard guard();
  coord::ClientSettings settings();
  void arrived(int number);
  void broke(std::exception_ptr thrown);

  const NodeOptions& options_;
  const Log& log_;
  const std::shared_ptr<const net::Credentials> credentials_;
  std::uint64_t strangers_ = 0;  // the I/O thread's
  std::atomic<std::uint64_t> progress_{0};
  std::atomic<int> signal_{0};
  std::deque<coord::Incoming> stash_;  // came while something else was waited for, in order
  net::Loop loop_;
  std::optional<comm::Mesh> mesh_;
  std::optional<net::Signals> signals_;
  std::optional<coord::Client> client_;
};

}  // namespace dl::train
