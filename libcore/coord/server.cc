// SPDX-License-Identifier: MIT
#include "coord/server.h"

#include <signal.h>

#include <algorithm>
#include <bit>

#include "base/clock.h"

namespace dl::coord {

namespace {

constexpr std::size_t kMostUnknown = 64;                 // connections that have not said Hello
constexpr std::int64_t kHelloWithinNs = 5'000'000'000;
constexpr std::uint32_t kMostHelloBytes = 1024;
constexpr net::Milliseconds kLastWords(2000);            // for nodes to hear them
constexpr net::Milliseconds kChildrenLeave(4000);        // then they are killed

// What a node that speaks without TLS, of whatever age, reads.
Bytes plain_answer(const net::Credentials* credentials) {
  const bool by_certificate = credentials != nullptr && credentials->kind() == net::Credentials::Kind::certificate;
  Refuse refuse;
  refuse.code = static_cast<std::uint32_t>(Exit::denied);
  refuse.text = decltype(refuse.text)::cut(
      by_certificate ? "this run wants certificates: start dl-node with --tls-cert, --tls-key and --tls-ca"
                     : "this run has a key: copy the file `key` from its directory, and start dl-node with --key FILE");
  return net::encode_frame({.type = Refuse::type}, net::encode(refuse));
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name == nullptr ? fmt::format("signal {}", number) : fmt::format("SIG{}", name);
}

}  // namespace

Server::Server(net::Loop& loop, const net::Address& listen, const Log& log,
               std::shared_ptr<const net::Credentials> credentials)
    : loop_(loop), log_(log), tick_(loop), beat_(loop), patience_(loop),
      listener_(loop, listen,
                [this](std::shared_ptr<net::Connection> made) { accept(std::move(made)); },
                net::Guard{credentials, plain_answer(credentials.get()),
                           [this](const std::string& who, const std::string& reason) {
                             stranger(who, reason);
                           }}) {
  signals_ = std::make_unique<net::Signals>(
      loop_, std::initializer_list<int>{SIGTERM, SIGINT, SIGUSR1},
      [this](int number) { on_signal(number); });
}

Server::~Server() = default;

void Server::spawn(std::vector<std::string> command, std::vector<std::string> variables,
                   unsigned count) {
  net::Address address = listener_.address();
  if (address.host.empty() || address.host == "0.0.0.0") address.host = "127.0.0.1";
  if (address.host == "::") address.host = "::1";
  command.push_back("--coord");
  command.push_back(net::to_string(address));
  children_ = std::make_unique<Children>(
      loop_, std::move(command), std::move(variables),
      [this](Exit code, const std::string& text) { tell(event::ChildEnded{code, text}); });
  children_->start(count);
}

Ended Server::run(ServerSettings settings) {
  settings_ = std::move(settings);
  kept_ = settings_->kept;
  coordinator_.emplace(settings_->plan, monotonic_ns());
  writer_ = std::make_unique<Writer>(loop_, settings_->write, [this](const Event& e) {
    if (const auto* failed = std::get_if<event::WriteFailed>(&e)) {
      if (failed->code == Exit::data) {  // by no fault of the disk's
        log_.error("{}: it is not written, the checkpoint before it stays", failed->text);
      } else {
        not_kept(failed->text);
      }
    }
    tell(e);
  });
  const std::int64_t dead_after_ms = settings_->plan.dead_after_ns / 1'000'000;
  tick_every_ = net::Milliseconds(std::clamp<std::int64_t>(dead_after_ms / 6, 1, 100));
  tick();
  beat();
  loop_.run();
  writer_.reset();
  children_.reset();
  return *ended_;
}

void Server::accept(std::shared_ptr<net::Connection> connection) {
  const auto unknown = std::count_if(peers_.begin(), peers_.end(),
                                     [](const auto& entry) { return !entry.second.known; });
  if (ended_ || static_cast<std::size_t>(unknown) >= kMostUnknown) {
    stranger(connection->peer(), "too many connections that say nothing");
    return;
  }
  const NodeId id = ++last_id_;
  Peer peer{connection, Outbox(connection), {}, false, monotonic_ns() + kHelloWithinNs, 0};
  connection->bound(kMostHelloBytes);
  peers_.emplace(id, std::move(peer));
  connection->open({.message = [this, id](const net::Header& header,
                                          ByteView payload) { hear(id, header.type, payload); },
                    .place = {},
                    .placed = {},
                    .closed = [this, id](const std::string& reason) { closed(id, reason); }});
}

// An Error that leaves this function ends the connection, and closed() hears why.
void Server::hear(NodeId id, net::Type type, ByteView payload) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  using net::decode;
  const auto said = [&](auto message) { tell(event::Said{id, std::move(message)}); };
  if (!peer.known) {
    hear_first(id, peer, type, payload);
    return;
  }
  switch (type) {
    case net::Type::heartbeat: said(decode<Heartbeat>(payload)); break;
    case net::Type::progress: said(decode<Progress>(payload)); break;
    case net::Type::pace: said(decode<Pace>(payload)); break;
    case net::Type::updates: said(decode<Updates>(payload)); break;
    case net::Type::report: said(decode<Report>(payload)); break;
    case net::Type::ready:
      if (children_) children_->ready(static_cast<pid_t>(peer.pid));
      said(decode<Ready>(payload));
      break;
    case net::Type::paused: said(decode<Paused>(payload)); break;
    case net::Type::loaded: said(decode<Loaded>(payload)); break;
    case net::Type::fetch: hear_fetch(id, peer, decode<Fetch>(payload)); break;
    case net::Type::done: said(decode<Done>(payload)); break;
    case net::Type::refuse: said(decode<Refuse>(payload)); break;
    case net::Type::goodbye: said(decode<Goodbye>(payload)); break;
    case net::Type::state_begin:
    case net::Type::state_chunk:
    case net::Type::state_end: hear_state(id, peer, type, payload); break;
    default: fail(Exit::data, "a {} frame from a node", net::name(type));
  }
}

void Server::hear_first(NodeId id, Peer& peer, net::Type type, ByteView payload) {
  if (type != net::Type::hello) fail(Exit::data, "it began with a {} frame", net::name(type));
  const Hello hello = net::decode<Hello>(payload);
  peer.known = true;
  peer.pid = hello.pid;
  peer.reader.expect(settings_->state_floats);
  peer.connection->bound(0);
  tell(event::Arrived{id, peer.connection->peer_host(), peer.connection->local_host(), hello});
}

// Answered at once: the node asks for a few pieces at a time, so they need no queue of their own, and
// nothing is kept for it in between. What the node may not ask for ends its connection; what cannot be
// read here ends the run.
void Server::hear_fetch(NodeId id, Peer& peer, const Fetch& message) {
  const Files* files = settings_->files.get();
  if (files == nullptr || !files->has(message.sha256)) {
    fail(Exit::data, "it asked for a file that the run does not have: {}", shown(message.sha256));
  }
  if (message.offset % kPieceBytes != 0) fail(Exit::data, "no piece of a file begins at byte {}", message.offset);
  if (*peer.pieces >= kMostPieces) {
    fail(Exit::data, "it asked for more than {} pieces of files at once", kMostPieces);
  }
  std::shared_ptr<const Bytes> piece;
  try {
    piece = std::make_shared<const Bytes>(files->piece(message.sha256, message.offset));
  } catch (const Error& error) {
    log_.warning("{}", error.what());
    tell(event::DataFailed{error.code(), error.what()});
    return;
  }
  ++*peer.pieces;
  const ByteView bytes = *piece;
  peer.connection->send_bulk(net::Type::file_piece, 0, 0, std::span(&bytes, 1),
                             [piece, open = peer.pieces] { --*open; });
  tell(event::AtWork{id});
}

void Server::hear_state(NodeId id, Peer& peer, net::Type type, ByteView payload) {
  if (type == net::Type::state_begin) {
    peer.reader.begin(net::decode<StateBegin>(payload));
  } else if (type == net::Type::state_chunk) {
    peer.reader.chunk(payload);
    tell(event::AtWork{id});
  } else {
    auto state = std::make_shared<const State>(peer.reader.end(net::decode<StateEnd>(payload)));
    const event::StateCame came{id, state->step, state->reason};
    arrived_ = std::move(state);
    tell(came);
    arrived_.reset();
  }
}

void Server::closed(NodeId id, const std::string& reason) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  const bool known = found->second.known;
  const std::string who = found->second.connection->peer();
  peers_.erase(found);
  if (known) {
    tell(event::Lost{id, reason});
  } else {
    stranger(who, reason);
  }
}

// Junk on the port is nobody's business but worth a line; a flood of it is worth few.
void Server::stranger(const std::string& who, const std::string& reason) {
  ++strangers_;
  if (!std::has_single_bit(strangers_)) return;
  log_.warning("{} is no node: {} ({} such so far)", who, reason, strangers_);
}

void Server::on_signal(int number) {
  if (number == SIGUSR1) {
    tell(event::CheckpointAsked{});
    return;
  }
  const std::string name = signal_name(number);
  if (std::exchange(stop_asked_, true)) {
    ended_ = Ended{128 + number, name + " came twice: stopped at once"};
    loop_.stop();
    return;
  }
  log_.info("{}: finishing the step, saving, leaving (once more: at once)", name);
  tell(event::StopAsked{128 + number, name + ": stopped; the same command goes on from here"});
}

void Server::tick() {
  const std::int64_t now = monotonic_ns();
  std::vector<NodeId> late;
  for (const auto& [id, peer] : peers_) {
    if (!peer.known && now > peer.deadline_ns) late.push_back(id);
  }
  for (const NodeId id : late) closed(id, "no hello within 5 s");
  if (settings_->deadline_ns > 0 && now >= settings_->deadline_ns && !std::exchange(late_, true)) {
    log_.info("--deadline: finishing the step, saving, leaving");
    tell(event::StopAsked{static_cast<int>(Exit::again),
                          "--deadline: stopped in time; the same command goes on from here",
                          std::min<std::int64_t>(3'000'000'000, settings_->kept_back_ns * 3 / 5)});
  }
  tell(event::Tick{});
  if (settings_->status && now - status_ns_ >= 1'000'000'000) {
    status_ns_ = now;
    settings_->status(status());
  }
  tick_.after(tick_every_, [this] { tick(); });
}

void Server::beat() {
  for (auto& [id, peer] : peers_) {
    if (peer.known) peer.outbox.send_urgent(Heartbeat{0});
  }
  beat_.after(net::Milliseconds(settings_->plan.heartbeat_ms), [this] { beat(); });
}

// What follows from an action (a node that cannot be written to) waits until all actions are done.
void Server::tell(const Event& event) {
  if (ended_ || !coordinator_) return;
  events_.push_back(event);
  if (std::exchange(acting_, true)) return;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    for (const Action& action : coordinator_->on(monotonic_ns(), next)) {
      std::visit([this](const auto& a) { act(a); }, action);
    }
  }
  acting_ = false;
}

void Server::act(const action::Send& action) {
  const auto found = peers_.find(action.node);
  if (found == peers_.end()) return;
  std::visit([&](const auto& message) { found->second.outbox.send(message); }, action.message);
}

void Server::act(const action::Close& action) {
  const auto found = peers_.find(action.node);
  if (found == peers_.end()) return;
  if (action.silent && children_) children_->kill(static_cast<pid_t>(found->second.pid));
  ++closing_;
  found->second.connection->close(
      [this] {
        --closing_;
        leave_when_all_gone();
      },
      kLastWords);
  peers_.erase(found);
}

void Server::act(const action::Keep& /*action*/) { kept_ = arrived_; }

void Server::act(const action::Serve& action) {
  const auto found = peers_.find(action.node);
  if (found != peers_.end()) found->second.outbox.send_state(kept_);
}

void Server::act(const action::Write& action) {
  writer_->put(action.reason == StateReason::best ? arrived_ : kept_, action.reason,
               coordinator_->arithmetic());
}

// What does not follow is no order that anything was applied in: there is a bug, and no replay of this run.
void Server::act(const action::Append& action) {
  if (!settings_->append) return;
  try {
    settings_->append(action.updates);
  } catch (const Error& error) {
    if (error.code() == Exit::io) {
      not_kept(error.what());
    } else {
      tell(event::DataFailed{error.code(), error.what()});
    }
  }
}

void Server::act(const action::Record& action) {
  try {
    if (settings_->record) settings_->record(action.generation);
    tell(event::Recorded{action.generation});
  } catch (const Error& error) {
    not_kept(error.what());
    tell(event::NotRecorded{action.generation, error.what()});
  }
}

void Server::act(const action::Announce& action) {
  try {
    settings_->announce(action.json, *coordinator_);
  } catch (const Error& error) {
    not_kept(error.what());
  }
}

void Server::act(const action::Live& action) {
  if (settings_->live) settings_->live(action.progress);
}

void Server::act(const action::Finish& action) {
  ended_ = Ended{action.code, action.text};
  if (action.code == 0 && !not_kept_.empty()) {
    ended_ = Ended{static_cast<int>(Exit::io),
                   fmt::format("the run is complete, but not all of it could be written ({} times): {}", not_kept_times_, not_kept_)};
  }
  peers_.clear();  // those that have not said who they are
  tick_.cancel();
  beat_.cancel();
  children_left_ = children_ != nullptr;
  if (children_) {
    children_->dismiss([this] {
      children_left_ = false;
      leave_when_all_gone();
    });
  }
  patience_.after(kChildrenLeave, [this] { loop_.stop(); });
  leave_when_all_gone();
}

// A disk that is full is no reason to stop training. Said once, then ever more rarely.
void Server::not_kept(const std::string& text) {
  if (not_kept_.empty()) not_kept_ = text;
  if (!std::has_single_bit(++not_kept_times_)) return;
  log_.error("{}: training goes on ({} such so far)", text, not_kept_times_);
}

void Server::leave_when_all_gone() {
  if (ended_ && closing_ == 0 && !children_left_) loop_.stop();
}

Json Server::status() const {
  Json nodes = Json::array();
  for (const Coordinator::NodeView& view : coordinator_->nodes()) {
    nodes.push_back({{"node", view.node},
                     {"rank", view.rank ? Json(*view.rank) : Json(nullptr)},
                     {"host", view.host},
                     {"pid", view.pid},
                     {"threads", view.threads},
                     {"kernel", view.kernel},
                     {"doing", view.doing},
                     {"step", view.progress.step},
                     {"samples", view.progress.samples},
                     {"loss", view.progress.loss},
                     {"busy_seconds", view.progress.busy_seconds},
                     {"wait_seconds", view.progress.wait_seconds},
                     {"communicate_seconds", view.progress.communicate_seconds},
                     {"samples_per_second", view.speed ? Json(*view.speed) : Json(nullptr)}});
  }
  return {{"phase", coordinator_->phase()},
          {"generation", coordinator_->generation()},
          {"strangers", strangers_},
          {"nodes", std::move(nodes)}};
}

}  // namespace dl::coord
