// SPDX-License-Identifier: MIT
// Ranks that are processes, each connected with each other: they greet each other over TCP, and those
// that find themselves on one host go on over a Unix socket (comm/shortcut.h). Where all of them are on
// one host they add in shared memory (comm/shared.h); their connections then carry messages and what is
// rare, and tell when a peer is gone. Everything else is here.
//
// How a sum is made over connections. Every bucket is cut into pieces, and each rank owns an aligned slice of every
// piece. A rank sends the owner of a slice its parts of it (frame `part`); when all ranks' parts are
// there the owner adds them in the order of the tree and sends the total to all (frame `result`): two
// rounds, the bytes of a ring, the same bits whoever came first. Pieces are small enough that a total
// is on its way while the next part arrives. Where a bucket is small, everybody sends all parts to
// everybody and adds them itself: one round.
//
// Why the buffers need no flow control. A rank sends a `part` frame for every slice, an empty one
// where it holds no shard. So nobody's round k ends before everybody has started it, and a peer is at
// most one round ahead. In two rounds, a peer's part of round k+1 comes after this owner's total of
// round k, when the part of round k was consumed: one buffer is enough. A total of round k+1 needs our
// part of round k+1, so it cannot run into a `result` that is still read. In one round a peer's part
// of round k+1 may come while we add round k, not later: two buffers, by parity. The same for records.
// Whatever comes in another order ends the group.
//
// So much for the collective `direct`. Buckets may go by another one (comm/collective.h): the same bits; which frames
// those have, and why their buffers are enough, is said in comm/schedule.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/communicator.h"
#include "net/address.h"
#include "net/door.h"
#include "net/loop.h"

namespace dl::comm {

struct MeshGroup {
  std::string run_id;
  std::uint32_t generation = 0;
  std::uint32_t rank = 0;
  std::vector<net::Address> members;  // by rank, where each takes its peers in; the own one is not used
};

enum class Transport { automatic, tcp };

struct TcpTuning {
  std::uint64_t one_round_bytes = 64 * 1024;  // buckets whose parts are together at most this long
  std::uint64_t piece_bytes = 192 * 1024;     // of a slice between two ranks; shorter where there are more
  std::optional<Collective> collective = Collective::direct;  // none: measured and chosen (comm/links.h)
};

// A node's port for its peers, for the node's life, and the groups that it is in, one after the other.
//
// Made and destroyed by any thread but the loop's, while the loop runs. connect() and what it returns
// belong to the training thread; a Communicator must be gone before its mesh. abort() is for any
// thread.
class Mesh {
 public:
  // Listens; fails with 73. An address without a host is 127.0.0.1 and ::1, until the first group that has a
  // member elsewhere: then every address of this machine, at the same port. `tcp`: no shared memory and no Unix
  // socket with anybody. Every TCP connection is secured by the guard's credentials: who has the key, or a
  // certificate that is good, is a peer, before a greeting is read, memory offered or a Unix socket named.
  // Without them connections are plain. Nodes of another `place` count as being on other hosts.
  Mesh(net::Loop& loop, const net::Address& listen, Transport transport = Transport::automatic,
       net::Guard guard = {}, const std::string& place = {});
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  std::uint16_t port() const;

  // Connects with every other member: dials those of lower rank, waits for those of higher rank, who
  // may have come before. Fails with 64 where the plan has a record or message that no frame can carry, and with
  // 73 where it cannot listen for members elsewhere. Throws RoundAborted after abort(), and when `patience` ends,
  // naming the ranks that are missing. The mesh outlives the Communicator. Plans must be equal on all ranks. A
  // group of one connects with nobody and adds as LocalGroup does. Only one Communicator at a time,
  // generations ascending.
  //
  // Destroying the Communicator lets out what is still to be sent, then closes. When a peer is lost,
  // its start(), wait() and collect() throw RoundAborted as soon as they need that peer, take() when
  // nothing is left to be taken. Messages go over the peers' connections, also beside shared memory.
  std::unique_ptr<Communicator> connect(const MeshGroup& group, const SumPlan& plan,
                                        net::Milliseconds patience, const TcpTuning& tuning = {});

  // Makes connect(), start(), wait(), collect(), send() and take() of every generation up to this one throw
  // RoundAborted with the reason, at once, and from then on.
  void abort(std::uint32_t generation, const std::string& reason);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dl::comm
