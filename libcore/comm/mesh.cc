// SPDX-License-Identifier: MIT
#include "comm/mesh.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/workers.h"
#include "comm/host.h"
#include "comm/mesh_end.h"
#include "comm/mesh_hello.h"
#include "comm/shortcut.h"
#include "comm/solo.h"
#include "comm/tcp_group.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/unix_door.h"

namespace dl::comm {

using net::Connection;
using net::Header;
using net::Milliseconds;

namespace {

constexpr Milliseconds kHelloLimit(10000);  // a stranger that says nothing
constexpr Milliseconds kDialAgain(20);      // after a peer that closed before it answered
constexpr std::size_t kMostWaiting = 4096;  // peers that came before our own Start
constexpr std::uint32_t kHelloBytes = 256;

// Whether this member is reached, or reaches us, at another address than those of a mesh of one host.
bool elsewhere(const net::Address& member) { return member.host != "127.0.0.1" && member.host != "::1"; }

// Parts and totals are cut to fit.
void check_lengths(const SumPlan& plan) {
  if (plan.record_bytes > net::max_length(net::Type::record)) {
    fail(Exit::usage, "a step's record of these {} shards has {} bytes, and nodes send each other {} at most: use fewer shards",
         plan.shards, plan.record_bytes, net::max_length(net::Type::record));
  }
  if (plan.message_bytes > net::max_length(net::Type::message)) {
    fail(Exit::usage, "the longest message between these {} nodes has {} bytes, and {} is the most: a smaller model, "
                      "more nodes or --compress makes it shorter",
         plan.ranks(), plan.message_bytes, net::max_length(net::Type::message));
  }
}

}  // namespace

// All of it on the loop.
struct Mesh::State : std::enable_shared_from_this<Mesh::State> {
  State(net::Loop& its_loop, Transport its_transport, std::shared_ptr<const net::Credentials> shown,
        std::string its_place)
      : loop(its_loop),
        transport(its_transport),
        credentials(std::move(shown)),
        place(std::move(its_place)) {}

  struct Waiting {
    MeshHello hello;
    std::shared_ptr<Connection> connection;
  };

  void accepted(const std::shared_ptr<Connection>& connection) {
    if (waiting.size() + strangers.size() >= kMostWaiting) return;  // dropped
    strangers.push_back(connection);
    connection->bound(kHelloBytes);
    connection->idle_limit(kHelloLimit);
    Connection::Events events;
    const std::weak_ptr<State> weak = weak_from_this();
    const std::weak_ptr<Connection> who = connection;
    events.message = [weak, who](const Header& header, ByteView payload) {
      const auto self = weak.lock();
      const auto from = who.lock();
      if (!self || !from) return;
      if (header.type != net::Type::mesh_hello) fail(Exit::data, "a peer that does not say hello");
      self->greeted(from, net::decode<MeshHello>(payload));
    };
    events.closed = [weak, who](const std::string&) {
      if (const auto self = weak.lock()) self->forget(who.lock());
    };
    connection->open(std::move(events));
  }

  void forget(const std::shared_ptr<Connection>& connection) {
    std::erase(strangers, connection);
    std::erase_if(waiting, [&](const Waiting& w) { return w.connection == connection; });
  }

  void greeted(const std::shared_ptr<Connection>& connection, const MeshHello& hello) {
    std::erase(strangers, connection);
    if (std::erase_if(waiting, [&](const Waiting& w) { return w.connection == connection; }) > 0) {
      connection->drop();  // one hello is enough
      return;
    }
    if (hello.generation <= newest && !claims(hello)) {
      connection->drop();
      return;
    }
    if (claims(hello)) {
      claim(connection, hello);
    } else {
      waiting.push_back({hello, connection});
    }
  }

  bool claims(const MeshHello& hello) const {
    if (!rounds) return false;
    const MeshGroup& group = rounds->group();
    return hello.run_id == group.run_id && hello.generation == group.generation &&
           hello.rank > group.rank && hello.rank < group.members.size() &&
           !rounds->has(hello.rank) && !shortcuts.contains(hello.rank);
  }

  void claim(const std::shared_ptr<Connection>& connection, const MeshHello& hello) {
    MeshHello answer = own_hello();
    std::string why_not;
    const bool invited = near(hello) && unix_door(why_not);
    if (invited) answer.invite(take_shortcut(hello.rank, *door, connection).pass());
    connection->send(answer, hello.generation);
    connection->flush();
    if (!invited) join(hello.rank, connection, {near(hello), false, why_not});
  }

  // Frames go to this rank by whichever connection comes of it.
  template <typename Where, typename... More>
  Shortcut& take_shortcut(std::uint32_t rank, Where& where, More&&... more) {
    const std::weak_ptr<State> weak = weak_from_this();
    Shortcut::Events events{
        [weak, rank](const std::shared_ptr<Connection>& connection, const std::string& why) {
          const auto self = weak.lock();
          if (!self || !self->rounds) return;
          self->shortcuts.erase(rank);
          self->join(rank, connection, {true, why.empty(), why});
        },
        [weak, rank](const std::string& reason) {
          const auto self = weak.lock();
          if (!self || !self->rounds) return;
          self->shortcuts.erase(rank);
          if (rank < self->rounds->group().rank) self->dial_again(rank, reason);
        }};
    return shortcuts.try_emplace(rank, where, std::forward<More>(more)..., std::move(events))
        .first->second;
  }

  void join(std::uint32_t rank, const std::shared_ptr<Connection>& connection, const Reached& how) {
    connection->bound(0);
    connection->idle_limit(Milliseconds(0));
    rounds->add_peer(rank, connection, how);
  }

  bool near(const MeshHello& hello) const { return !host.empty() && hello.host.str() == host; }

  // Made when the first neighbour comes; false, and why, where there can be none.
  bool unix_door(std::string& why) {
    if (door) return true;
    try {
      door.emplace(loop);
    } catch (const Error& error) {
      why = error.what();
    }
    return door.has_value();
  }

  MeshHello own_hello() const {
    const MeshGroup& group = rounds->group();
    return {net::Text<64>(group.run_id), group.generation, group.rank, net::Text<32>(host), {}, {}};
  }

  void begin(std::shared_ptr<TcpRounds> with, Milliseconds patience) {
    if (std::ranges::any_of(with->group().members, elsewhere)) listener->open_everywhere();
    rounds = std::move(with);
    newest = rounds->group().generation;
    // Of another run it is another one, so that it tells nothing elsewhere.
    host = transport == Transport::tcp ? "" : host_identity(rounds->group().run_id, place);
    deadline_ns = monotonic_ns() + patience.count() * 1'000'000;
    end_dialling();
    if (newest <= aborted_generation) {
      rounds->abort(aborted_reason);
      return;
    }
    for (std::uint32_t rank = 0; rank < rounds->group().rank; ++rank) dial(rank);
    std::vector<Waiting> now;
    std::erase_if(waiting, [&](Waiting& w) {
      if (w.hello.generation > newest) return false;
      now.push_back(std::move(w));
      return true;
    });
    for (const Waiting& w : now) {
      if (claims(w.hello)) {
        claim(w.connection, w.hello);
      } else {
        w.connection->drop();
      }
    }
  }

  void dial(std::uint32_t rank) {
    const auto left = Milliseconds((deadline_ns - monotonic_ns()) / 1'000'000);
    Peer& peer = dialled[rank];
    const std::weak_ptr<State> weak = weak_from_this();
    peer.dial.emplace(loop, rounds->group().members[rank], std::max(left, Milliseconds(1)),
                      net::Dial::Events{[weak, rank](std::shared_ptr<Connection> connection) {
                                          if (const auto self = weak.lock()) {
                                            self->say_hello(rank, std::move(connection));
                                          }
                                        },
                                        [weak, rank](const std::string& reason) {
                                          if (const auto self = weak.lock()) {
                                            self->dialled[rank].reason = reason;
                                          }
                                        }},
                      credentials);
  }

  void say_hello(std::uint32_t rank, std::shared_ptr<Connection> connection) {
    Peer& peer = dialled[rank];
    peer.connection = connection;
    peer.reason = "no answer to our hello";
    connection->bound(kHelloBytes);
    const std::weak_ptr<State> weak = weak_from_this();
    Connection::Events events;
    events.message = [weak, rank](const Header& header, ByteView payload) {
      if (const auto self = weak.lock()) self->answered(rank, header, payload);
    };
    events.closed = [weak, rank](const std::string& reason) {
      if (const auto self = weak.lock()) self->dial_again(rank, reason);
    };
    connection->open(std::move(events));
    connection->send(own_hello(), rounds->group().generation);
    connection->flush();
  }

  // It may not have come to this generation yet, or have left it: the coordinator knows.
  void dial_again(std::uint32_t rank, const std::string& reason) {
    Peer& closed = dialled[rank];
    closed.connection.reset();
    closed.reason = reason;
    if (!closed.again) closed.again.emplace(loop);
    closed.again->after(kDialAgain, [weak = weak_from_this(), rank] {
      if (const auto self = weak.lock(); self && self->rounds) self->dial(rank);
    });
  }

  void answered(std::uint32_t rank, const Header& header, ByteView payload) {
    if (header.type != net::Type::mesh_hello) fail(Exit::data, "a peer that does not say hello");
    const auto hello = net::decode<MeshHello>(payload);
    const MeshGroup& group = rounds->group();
    if (hello.run_id != group.run_id || hello.generation != group.generation ||
        hello.rank != rank) {
      fail(Exit::disagree, "rank {} of generation {} answers, and rank {} of generation {} was called",
           hello.rank, hello.generation, rank, group.generation);
    }
    const std::shared_ptr<Connection> connection = std::move(dialled[rank].connection);
    if (!near(hello) || hello.socket.empty()) {
      join(rank, connection, {near(hello), false, "it has no such socket"});
      return;
    }
    dialled[rank].reason = "no answer at its Unix socket";
    take_shortcut(rank, loop, hello.pass(), connection);
  }

  void end_dialling() {
    dialled.clear();
    shortcuts.clear();
  }

  void end(const std::shared_ptr<TcpRounds>& which) {
    if (rounds != which) return;
    end_dialling();
    rounds.reset();
  }

  void abort(std::uint32_t generation, const std::string& reason) {
    if (generation > aborted_generation) {
      aborted_generation = generation;
      aborted_reason = reason;
    }
    if (solo_generation <= generation && solo) solo->abort(reason);
    if (!rounds || rounds->group().generation > generation) return;
    end_dialling();
    rounds->abort(reason);
  }

  struct Peer {
    std::optional<net::Dial> dial;
    std::optional<net::Timer> again;
    std::shared_ptr<Connection> connection;  // until it has answered
    std::string reason = "no connection yet";
  };

  net::Loop& loop;
  const Transport transport;
  const std::shared_ptr<const net::Credentials> credentials;
  const std::string place;
  std::unique_ptr<net::Listener> listener;
  std::optional<net::UnixDoor> door;
  std::vector<std::shared_ptr<Connection>> strangers;  // have not said hello
  std::vector<Waiting> waiting;                         // of a generation to come
  std::shared_ptr<TcpRounds> rounds;
  std::string host;  // own host_identity(); empty: TCP with everybody
  std::shared_ptr<Alarm> solo;
  std::uint32_t solo_generation = 0;
  std::map<std::uint32_t, Peer> dialled;
  std::map<std::uint32_t, Shortcut> shortcuts;  // by rank; leave before the door does
  std::uint32_t newest = 0;
  std::int64_t deadline_ns = 0;
  std::uint32_t aborted_generation = 0;
  std::string aborted_reason;
};

Mesh::Mesh(net::Loop& loop, const net::Address& listen, Transport transport, net::Guard guard,
           const std::string& place)
    : state_(std::make_shared<State>(loop, transport, guard.credentials, place)) {
  loop.call([&] {
    flush_denormals();  // the loop's thread adds
    state_->listener = std::make_unique<net::Listener>(
        loop, listen, [weak = std::weak_ptr(state_)](std::shared_ptr<Connection> connection) {
          if (const auto state = weak.lock()) state->accepted(connection);
        }, std::move(guard), net::Reach::loopback);
  });
}

Mesh::~Mesh() {
  net::Loop& loop = state_->loop;
  loop.call([&] {
    state_->listener.reset();
    state_->strangers.clear();
    state_->waiting.clear();
    state_->end_dialling();
    state_->door.reset();
    state_.reset();
  });
}

std::uint16_t Mesh::port() const { return state_->listener->port(); }

std::unique_ptr<Communicator> Mesh::connect(const MeshGroup& group, const SumPlan& plan,
                                               Milliseconds patience, const TcpTuning& tuning) {
  if (group.members.size() != plan.ranks() || group.rank >= plan.ranks()) {
    fail(Exit::bug, "a plan for {} ranks, and rank {} of {} members", plan.ranks(), group.rank,
         group.members.size());
  }
  net::Loop& loop = state_->loop;
  if (plan.ranks() > 1) check_lengths(plan);
  if (plan.ranks() == 1) {
    auto flag = std::make_shared<Alarm>();
    loop.call([&] {
      state_->newest = group.generation;
      state_->solo = flag;
      state_->solo_generation = group.generation;
      if (group.generation <= state_->aborted_generation) flag->abort(state_->aborted_reason);
    });
    flag->check();
    return std::make_unique<Solo>(plan, flag);
  }
  auto rounds = std::make_shared<TcpRounds>(loop, group, plan, tuning);
  Membership membership(rounds);
  loop.call([&] { state_->begin(rounds, patience); });
  std::string text;
  const std::vector<std::uint32_t> missing = rounds->wait_for_peers(patience);
  for (const std::uint32_t rank : missing) {
    loop.call([&] {
      const auto peer = state_->dialled.find(rank);
      text += fmt::format("; rank {} ({}): {}", rank, net::to_string(group.members[rank]),
                          peer == state_->dialled.end() ? "did not come" : peer->second.reason);
    });
  }
  if (!missing.empty()) {
    loop.call([&] { state_->end(rounds); });
    throw RoundAborted(fmt::format("the group of generation {} did not meet within {:.1f} s{}",
                                   group.generation, static_cast<double>(patience.count()) * 1e-3,
                                   text),
                       missing);
  }
  return mesh_end(std::move(membership), plan, tuning.collective);
}

void Mesh::abort(std::uint32_t generation, const std::string& reason) {
  const auto now = [weak = std::weak_ptr(state_), generation, reason] {
    if (const auto state = weak.lock()) state->abort(generation, reason);
  };
  if (state_->loop.inside()) {
    now();
  } else {
    state_->loop.post(now);
  }
}

}  // namespace dl::comm
