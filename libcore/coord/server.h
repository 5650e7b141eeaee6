// SPDX-License-Identifier: MIT
// The coordinator's hands and ears: sockets, clock, child processes and the writer's thread around
// the state machine of coordinator.h.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "coord/children.h"
#include "coord/coordinator.h"
#include "coord/files.h"
#include "coord/state_stream.h"
#include "coord/writer.h"
#include "net/listener.h"

namespace dl::coord {

struct ServerSettings {
  Plan plan;
  std::uint64_t state_floats = 0;      // parameters and slots, from the local model
  std::shared_ptr<const State> kept;   // of the checkpoint that the run goes on from; or none
  std::shared_ptr<const Files> files;  // that nodes may fetch; or none
  std::int64_t deadline_ns = 0;  // monotonic: at this time the run is saved, and ends with 75; 0: never
  std::int64_t kept_back_ns = 3'000'000'000;  // for that, of the time that was given
  // All but `write` are called on the loop's thread and must not take long.
  // `now`: the coordinator as it stands right after the event.
  std::function<void(const Json& event, const Coordinator& now)> announce;
  // The generation that was announced last is on the disk when it returns; throws Error where it cannot be. May be empty.
  std::function<void(std::uint32_t generation)> record;
  std::function<void(const Progress& progress)> live;
  std::function<void(const Updates& updates)> append;  // mode async; may be empty
  std::function<void(const Json& status)> status;  // once a second; may be empty
  Writer::Write write;
};

struct Ended {
  int code = 0;
  std::string text;  // why, where the code is not 0
};

class Server {
 public:
  // Listens at once (73 where it cannot), so that children may be started before slow work. `loop`
  // must not run yet. Nodes have to show the key, or a certificate, before anything else; without
  // credentials, anybody comes in.
  Server(net::Loop& loop, const net::Address& listen, const Log& log,
         std::shared_ptr<const net::Credentials> credentials = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const net::Address& address() const { return listener_.address(); }
  // Starts children; `--coord` and the address are added to the command, `variables` ("NAME=value") to
  // their environment.
  void spawn(std::vector<std::string> command, std::vector<std::string> variables, unsigned count);

  // Runs the loop until the run has ended and everyone was told. SIGTERM and SIGINT: the step is
  // finished, saved, and the run ends with 128+n; the second one ends it at once. SIGUSR1: writes a
  // checkpoint. Where a file of the run could not be written, training goes on, and a run that would end
  // with 0 ends with 74.
  Ended run(ServerSettings settings);

 private:
  struct Peer {
    std::shared_ptr<net::Connection> connection;
    Outbox outbox;
    StateReader reader;
    bool known = false;            // it has said a Hello that decodes
    std::int64_t deadline_ns = 0;  // for the Hello
    std::uint64_t pid = 0;
    std::shared_ptr<std::uint32_t> pieces = std::make_shared<std::uint32_t>(0);  // not yet sent
  };

  void accept(std::shared_ptr<net::Connection> connection);
  void hear(NodeId id, net::Type type, ByteView payload);
  void hear_first(NodeId id, Peer& peer, net::Type type, ByteView payload);
  void hear_state(NodeId id, Peer& peer, net::Type type, ByteView payload);
  void hear_fetch(NodeId id, Peer& peer, const Fetch& message);
  void closed(NodeId id, const std::string& reason);
  void stranger(const std::string& who, const std::string& reason);
  void on_signal(int number);
  void tick();
  void beat();

  void tell(const Event& event);
  void act(const action::Send& action);
  void act(const action::Close& action);
  void act(const action::Keep& action);
  void act(const action::Serve& action);
  void act(const action::Write& action);
  void act(const action::Append& action);
  void act(const action::Record& action);
  void act(const action::Announce& action);
  void act(const action::Live& action);
  void act(const action::Finish& action);
  void leave_when_all_gone();
  void not_kept(const std::string& text);
  Json status() const;

  net::Loop& loop_;
  const Log& log_;
  std::optional<ServerSettings> settings_;
  std::optional<Coordinator> coordinator_;
  std::map<NodeId, Peer> peers_;
  NodeId last_id_ = 0;
  std::size_t closing_ = 0;  // connections that still carry last words
  std::uint64_t strangers_ = 0;
  std::shared_ptr<const State> kept_, arrived_;
  std::deque<Event> events_;  // told while others are acted on
  bool acting_ = false, stop_asked_ = false, late_ = false, children_left_ = false;
  std::int64_t status_ns_ = 0;
  std::optional<Ended> ended_;
  std::string not_kept_;  // the first thing that could not be written
  std::uint64_t not_kept_times_ = 0;
  std::unique_ptr<Children> children_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<net::Signals> signals_;
  net::Timer tick_, beat_, patience_;
  net::Milliseconds tick_every_{100};
  net::Listener listener_;
};

}  // namespace dl::coord
