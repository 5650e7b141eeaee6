// SPDX-License-Identifier: MIT
// One generation's group over connections, TCP's and Unix sockets: what the loop does with frames, and what the training thread waits
// for. Internal to comm; mesh.h says how it works.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "comm/alarm.h"
#include "comm/flow.h"
#include "comm/layout.h"
#include "comm/memory.h"
#include "comm/message_queue.h"
#include "comm/tree_sum.h"
#include "net/connection.h"

namespace dl::comm {

// How a peer was reached.
struct Reached {
  bool near = false;     // it is on this host
  bool by_unix = false;  // by a Unix socket
  std::string why_not;   // where it is near, and not by a Unix socket
};

class TcpRounds : public std::enable_shared_from_this<TcpRounds> {
 public:
  TcpRounds(net::Loop& loop, const MeshGroup& group, const SumPlan& plan, const TcpTuning& tuning);

  const std::shared_ptr<Alarm>& alarm() const { return alarm_; }

  // On the training thread.
  std::span<float> part(std::size_t i) { return vectors_[i]; }
  std::span<float> result() { return vectors_[own_parts()]; }
  void start(std::size_t bucket);
  void wait(std::size_t bucket);
  void post(ByteView record);
  ByteView collect();
  ByteView gather(ByteView mine, std::span<const std::uint32_t> sizes);  // in several calls of frames where it is long
  void send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces);  // any thread
  std::optional<Message> take(bool wait);
  // Waits until every peer is there, at most so long; the ranks that are missing.
  std::vector<std::uint32_t> wait_for_peers(net::Milliseconds patience);
  // Sums of all buckets go like this from now on. When all peers are there and before the first round; all ranks call it
  // with the same, and a gather() between that and the first round keeps the fast ones from the slow.
  void adopt(std::span<const Collective> collectives);
  const std::vector<Collective>& collectives() const { return collectives_; }
  const Cut& cut() const { return cut_; }
  // Whether all peers are near, and what they are reached by, for people; for once they are there.
  bool all_near();
  std::string reached_by();
  // Sends what is still to be sent, then lets go of all connections. Any thread.
  void leave();

  // On the loop.
  const MeshGroup& group() const { return group_; }
  bool has(std::uint32_t rank) const { return static_cast<bool>(peers_[rank].connection); }
  void add_peer(std::uint32_t rank, std::shared_ptr<net::Connection> connection, const Reached& how);
  // Lets go of all connections, then tells the training thread. What is sent is a whole round's or
  // nothing: the training thread may touch its floats again when it has been told.
  void abort(const std::string& reason);

 private:
  struct Peer {
    std::shared_ptr<net::Connection> connection;
    std::string lost;                    // why, once it is gone
    std::uint64_t records = 0;           // rounds whose record is here
    std::uint64_t gathers = 0;           // calls whose bytes are here
    Bytes gathered[2];                   // by parity of the call
    std::vector<std::uint64_t> parts;    // by piece: rounds whose parts are here
    std::vector<std::uint64_t> results;  // by piece: rounds whose total is here
    std::uint64_t totals_to_send = 0;    // of the buckets that are begun
    bool began = false;                  // a frame of a bucket has come, or begun to
    std::size_t under_way = 0;           // bytes of frames that the connection has and the system has not
    Message coming;                      // the message that is being read
  };
  // A frame of a bucket that waits for its turn.
  struct Outgoing {
    std::uint32_t to = 0;
    net::Type type = net::Type::part;
    std::uint64_t number = 0;
    std::vector<ByteView> pieces;
    std::size_t bytes = 0;
    std::function<void()> sent;
  };
  struct BucketState {
    std::uint64_t started = 0;   // rounds
    std::uint64_t left = 0;      // of this round: totals to come, to be made and to be sent
  };

  void lay_out();
  void wake();
  void take_inbox();
  void begin(std::size_t bucket);
  void send_parts(std::uint32_t piece);
  std::uint32_t after(std::uint32_t steps) const { return (group_.rank + steps) % plan_.ranks(); }
  void queue(Outgoing frame);
  void send_queued();
  void send_record();
  bool abort_if_lost(const Flow* flow = nullptr);
  std::span<std::byte> place(std::uint32_t from, const net::Header& header);
  void placed(std::uint32_t from, const net::Header& header);
  void add_if_complete(std::uint32_t piece);
  void advance(std::uint32_t piece);
  void end_if_over(std::uint32_t piece);
  std::span<float> place_of(std::uint32_t piece, std::uint32_t value, std::uint64_t round);
  void one_less(std::size_t bucket);
  void count_records();
  void send_gather();
  void send_message(std::uint32_t to, Message message);
  void end_gather();
  void peer_lost(std::uint32_t rank, const std::string& reason);
  bool needs(const Peer& peer, std::uint32_t rank) const;
  std::string called(std::uint32_t rank) const;
  std::size_t own_parts() const { return parts_.count(group_.rank); }
  void drop_all();
  std::uint64_t frame_number(std::uint64_t round, std::uint32_t piece, std::uint32_t tag = 0) const;
  std::span<std::byte> record_place(std::uint64_t round, std::uint32_t rank);
  ByteView gather_frames(ByteView mine, std::span<const std::uint32_t> sizes);
  template <typename Condition>
  void wait_until(Condition met);

  net::Loop& loop_;
  const MeshGroup group_;
  const SumPlan plan_;
  const Parts parts_;
  const Cut cut_;
  std::vector<Collective> collectives_;  // by bucket
  const TreeSum sum_;
  const std::uint32_t record_bytes_;
  const std::uint64_t message_bytes_, under_way_most_;
  const std::shared_ptr<Alarm> alarm_ = std::make_shared<Alarm>();
  const Vectors vectors_;  // the own parts, then the result
  MessageQueue messages_;  // that have come

  // The loop's, once the peers are there.
  std::map<Collective, FlowPlan> flow_plans_;  // of the collectives that go from rank to rank
  std::uint32_t tags_ = 1;                     // frames of a round and piece between two ranks have tags below this
  std::optional<Layout> layout_;
  std::optional<Staging> staging_;
  std::vector<std::optional<Flow>> flows_;     // by piece, where it goes from rank to rank
  std::vector<std::uint64_t> flows_over_;      // by piece: rounds
  std::vector<Peer> peers_;
  std::vector<BucketState> buckets_;
  std::vector<std::uint64_t> added_;  // by piece: rounds
  std::vector<float> outgoing_;       // own parts of one-round pieces, two rounds side by side
  std::vector<std::uint64_t> outgoing_at_;
  std::vector<const float*> operands_;
  std::deque<Outgoing> queue_;
  std::size_t under_way_ = 0;         // bytes, of all peers
  std::string first_lost_;            // who was, and why
  std::uint64_t record_round_ = 0;    // of the own record that was sent
  std::uint64_t gather_call_ = 0;     // that we are in, or were in last
  bool over_ = false;

  // The training thread's.
  std::vector<std::uint64_t> rounds_;  // by bucket
  std::uint64_t posts_ = 0, gathers_ = 0;
  Bytes long_gathered_;                // of a gather() whose bytes no frame takes

  // Shared, under mutex_. Records: by parity of the round; a rank's own is written by its post(), the
  // others' by the loop before they are counted.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::size_t> inbox_;   // buckets to start
  std::vector<std::pair<std::uint32_t, Message>> outbox_;  // to whom
  bool record_waits_ = false, gather_waits_ = false, woken_ = false;
  std::vector<std::uint64_t> done_;  // by bucket: rounds
  std::uint64_t records_done_ = 0;   // rounds
  std::uint32_t connected_ = 0, near_ = 0, by_unix_ = 0;  // peers
  std::string why_not_unix_;                              // the first of the near ones
  std::optional<std::string> aborted_;
  Bytes records_[2];
  Bytes own_gather_[2];                // by parity of the call
  std::vector<std::uint32_t> gather_sizes_;
  Bytes gathered_;
  std::uint64_t gathers_done_ = 0;     // calls
};

}  // namespace dl::comm
