// SPDX-License-Identifier: MIT
// What the coordinator and its nodes say to each other. dl-protocol(7) gives the order and the bytes.
#pragma once

#include <cstdint>

#include "net/message.h"

namespace dl::coord {

using net::List;
using net::Text;

// node -> coordinator, first of all
struct Hello {
  static constexpr net::Type type = net::Type::hello;
  std::uint32_t protocol = 0;  // kProtocol
  Text<64> version;            // "dl 0.1.0"
  Text<256> host;
  std::uint64_t pid = 0;
  std::uint32_t threads = 0;
  Text<64> kernel;             // "avx512", "avx2", "scalar"
  std::uint16_t mesh_port = 0; // where this node takes its peers in; the host is the connection's
  template <class A> void serialize(A& a, unsigned) { a & protocol & version & host & pid & threads & kernel & mesh_port; }
};

// coordinator -> node: you are in; this is the run
struct Welcome {
  static constexpr net::Type type = net::Type::welcome;
  Text<64> run_id;
  std::uint32_t node_id = 0;
  std::uint32_t heartbeat_ms = 0;
  Text<1 << 20> config;        // RunConfig as JSON (train/run_config.h); opaque to the coordinator
  template <class A> void serialize(A& a, unsigned) { a & run_id & node_id & heartbeat_ms & config; }
};

// either way: why the other one ends; the receiver closes and exits with the code
struct Refuse {
  static constexpr net::Type type = net::Type::refuse;
  std::uint32_t code = 0;
  Text<1024> text;
  template <class A> void serialize(A& a, unsigned) { a & code & text; }
};

// node -> coordinator: the run's configuration and manifest are read; what I have of both
struct Ready {
  static constexpr net::Type type = net::Type::ready;
  Text<64> manifest_sha256;
  std::uint64_t parameters = 0;
  Text<64> arithmetic;         // "defined", or "openblas-" and the core's name
  double speed = 0;            // multiply-adds per second of all its threads, measured at its start
  template <class A> void serialize(A& a, unsigned) { a & manifest_sha256 & parameters & arithmetic & speed; }
};

// coordinator -> node: leave the current generation; answer with Paused
struct Pause {
  static constexpr net::Type type = net::Type::pause;
  std::uint32_t generation = 0;  // the one that comes
  template <class A> void serialize(A& a, unsigned) { a & generation; }
};

// node -> coordinator: I compute nothing until Start. Also sent unasked, when the group agreed to
// pause after a step (Signal), or when its group broke: then it says why, and which ranks it did not meet.
struct Paused {
  static constexpr net::Type type = net::Type::paused;
  std::uint32_t generation = 0;  // of the Pause; or the current one when unasked
  std::int64_t step = -1;        // applied updates; -1: no state at all
  Text<1024> reason = {};        // for people; empty where nothing is broken
  List<std::uint32_t, 1024> unmet = {};  // ranks of the generation that broke
  template <class A> void serialize(A& a, unsigned) { a & generation & step & reason & unmet; }
};

// coordinator -> node: send your state (StateBegin, chunks, StateEnd)
struct SendState {
  static constexpr net::Type type = net::Type::send_state;
  template <class A> void serialize(A&, unsigned) {}
};

enum class StateReason : std::uint8_t { asked = 0, checkpoint = 1, best = 2, final_state = 3 };

// Both ways. Then chunks: frames of type state_chunk, raw float32: parameters, then the slots, at most
// 1 MiB each; their total is known from the model on both sides. Then StateEnd.
struct StateBegin {
  static constexpr net::Type type = net::Type::state_begin;
  std::uint64_t step = 0;
  StateReason reason = StateReason::asked;
  Text<8192> cursor;             // JSON: where the run stands (train/cursor.h); opaque here
  template <class A> void serialize(A& a, unsigned) { a & step & reason & cursor; }
};

struct StateEnd {
  static constexpr net::Type type = net::Type::state_end;
  std::uint64_t step = 0;
  template <class A> void serialize(A& a, unsigned) { a & step; }
};

// coordinator -> node: in the generation that comes these shards are yours; answer with Loaded when you
// hold them, and the parts that are judged on. Start comes when all of the group do.
struct Load {
  static constexpr net::Type type = net::Type::load;
  std::uint32_t generation = 0;
  List<std::uint32_t, 65536> shards;  // ascending
  template <class A> void serialize(A& a, unsigned) { a & generation & shards; }
};

// node -> coordinator
struct Loaded {
  static constexpr net::Type type = net::Type::loaded;
  std::uint32_t generation = 0;
  template <class A> void serialize(A& a, unsigned) { a & generation; }
};

// node -> coordinator, from Welcome on: a piece of a file that I lack. The answer is a frame of type
// file_piece (coord/files.h). Files are known by their digests alone: that of the run's manifest, and
// those that it names.
struct Fetch {
  static constexpr net::Type type = net::Type::fetch;
  Text<64> sha256;
  std::uint64_t offset = 0;
  template <class A> void serialize(A& a, unsigned) { a & sha256 & offset; }
};

// coordinator -> node: the new generation begins
struct Member {
  Text<256> host;
  std::uint16_t port = 0;
  template <class A> void serialize(A& a, unsigned) { a & host & port; }
};
struct Start {
  static constexpr net::Type type = net::Type::start;
  std::uint32_t generation = 0;
  std::uint32_t rank = 0;
  std::uint64_t step = 0;        // applied updates that everyone has
  List<Member, 1024> members;    // by rank
  List<std::uint32_t, 65536> owner;  // rank of each shard
  List<std::uint32_t, 1024> stages;  // pipeline: layers of each, from the inputs up; else empty
  List<std::uint32_t, 1024> blocks;  // tensor: rank of each block of hidden units; else empty
  template <class A> void serialize(A& a, unsigned) { a & generation & rank & step & members & owner & stages & blocks; }
};

// coordinator -> rank 0: at the end of a step, all together ...
struct Signal {
  static constexpr net::Type type = net::Type::signal;
  static constexpr std::uint32_t kPause = 1, kCheckpoint = 2;
  std::uint32_t bits = 0;
  template <class A> void serialize(A& a, unsigned) { a & bits; }
};

// Both ways, every heartbeat; the node's I/O thread answers while it computes.
struct Heartbeat {
  static constexpr net::Type type = net::Type::heartbeat;
  std::uint64_t progress = 0;    // steps begun and ended, batches read: grows while work goes on
  template <class A> void serialize(A& a, unsigned) { a & progress; }
};

// node -> coordinator, a few times per second while training
struct Progress {
  static constexpr net::Type type = net::Type::progress;
  std::uint64_t step = 0;        // applied updates
  double loss = 0;               // of the last step, per unit of weight
  std::uint64_t samples = 0;     // of the run so far, whole group
  double train_seconds = 0;      // of the run so far, training only
  // Of this node in this process: computing, waiting for others that compute, adding and sending.
  double busy_seconds = 0, wait_seconds = 0, communicate_seconds = 0;
  template <class A> void serialize(A& a, unsigned) { a & step & loss & samples & train_seconds & busy_seconds & wait_seconds & communicate_seconds; }
};

// rank 0 -> coordinator, where it has changed and now and then: how long a step takes, smoothed
// (coord/step_times.h)
struct RankTime {
  double busy_seconds = 0;       // of computing, in a step
  double error = 0;              // standard error of that
  template <class A> void serialize(A& a, unsigned) { a & busy_seconds & error; }
};
struct Pace {
  static constexpr net::Type type = net::Type::pace;
  std::uint32_t generation = 0;
  std::uint64_t step = 0;        // applied updates
  double step_seconds = 0;
  double sum_seconds = 0;        // of it: communicating
  double fixed_share = 0;        // of rank 0's computing: what it does whatever shards it has
  List<RankTime, 1024> ranks;
  template <class A> void serialize(A& a, unsigned) { a & generation & step & step_seconds & sum_seconds & fixed_share & ranks; }
};

// node -> coordinator, mode async: in which order the steps from `first` to `last` were applied, before
// anything else about them (a Paused at `last`, a state). Every member says the same, so that it is known
// wherever the state is.
struct Updates {
  static constexpr net::Type type = net::Type::updates;
  std::uint32_t generation = 0;
  std::uint64_t first = 0, last = 0;
  Text<1 << 20> record;          // train/round_record.h; opaque here
  template <class A> void serialize(A& a, unsigned) { a & generation & first & last & record; }
};

// rank 0 -> coordinator: something worth a line in metrics.jsonl ("first_step", "epoch", ...)
struct Report {
  static constexpr net::Type type = net::Type::report;
  Text<16384> json;              // one object with "event"
  template <class A> void serialize(A& a, unsigned) { a & json; }
};

// node -> coordinator: the run's last step is applied
struct Done {
  static constexpr net::Type type = net::Type::done;
  std::uint64_t step = 0;
  Text<64> params_sha256;
  Text<16384> summary;           // rank 0: JSON for the done line; else empty
  template <class A> void serialize(A& a, unsigned) { a & step & params_sha256 & summary; }
};

// coordinator -> node: the run is over for you; exit with the code. node -> coordinator: I leave.
struct Goodbye {
  static constexpr net::Type type = net::Type::goodbye;
  std::uint32_t code = 0;
  Text<1024> text;
  template <class A> void serialize(A& a, unsigned) { a & code & text; }
};

inline constexpr std::uint32_t kProtocol = 7;

}  // namespace dl::coord
