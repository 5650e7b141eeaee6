// SPDX-License-Identifier: MIT
// The coordinator as a pure state machine: events in (each with the time), actions out. No socket,
// clock, thread or neural network. Server (server.h) does what the actions say.
//
// One path for start, resume, loss and join: a group forms (Pause to every ready node, Paused back),
// the highest applied step wins, every member of the new group loads its shards (Load, Loaded; a node that
// lacks some fetches them meanwhile), who lags gets that state, Start. A group that trains is left alone
// until a member is lost (the survivors form the next one at once) or a node is ready to join (rank 0
// is asked to pause at a step's border, so that no round is thrown away).
//
//   forming --all paused--> [fetching the state] --> loading
//   loading --a member lost, or a node ready--> forming
//   loading --all loaded, and the generation is recorded--> running
//   running --loss, or all paused--> forming
//   forming, running --stop asked, all paused--> saving --> ended
//   running --everyone done, final state written--> ended
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "coord/assignment.h"
#include "coord/blocks.h"
#include "coord/messages.h"
#include "coord/speeds.h"
#include "coord/stages.h"

namespace dl::coord {

using NodeId = std::uint32_t;

namespace event {

struct Arrived {  // a node's Hello, first of all
  NodeId node = 0;
  std::string address;  // that it comes from
  std::string via;      // that it reached us at
  Hello hello;
};
struct Said {  // any other message of a node that arrived
  NodeId node = 0;
  std::variant<Ready, Paused, Loaded, Progress, Pace, Updates, Report, Done, Refuse, Goodbye, Heartbeat> message;
};
struct AtWork {  // a part of its state came, or a part of a file was asked for
  NodeId node = 0;
};
struct StateCame {  // StateBegin to StateEnd, whole; the floats stay with the server
  NodeId node = 0;
  std::uint64_t step = 0;
  StateReason reason = StateReason::asked;
};
struct Lost {  // the connection broke
  NodeId node = 0;
  std::string reason;
};
struct Written {  // a Write action is on disk
  std::uint64_t step = 0;
  StateReason reason = StateReason::asked;
  std::string path;
};
struct WriteFailed {  // what was there before it stays
  std::uint64_t step = 0;
  StateReason reason = StateReason::asked;
  std::string text;
  Exit code = Exit::io;
};
struct Recorded {  // a Record action is on disk
  std::uint32_t generation = 0;
};
struct NotRecorded {
  std::uint32_t generation = 0;
  std::string text;
};
struct DataFailed {  // a file of the data cannot be read here any more
  Exit code = Exit::no_input;
  std::string text;
};
struct ChildEnded {  // a spawned node that is not started again
  Exit code = Exit::bug;
  std::string text;
};
struct StopAsked {
  int exit_code = 0;  // 128+n, of the run
  std::string why;    // "SIGTERM"
  std::int64_t within_ns = 3'000'000'000;  // the nodes' answers; what is saved then is the newest that is here
};
struct CheckpointAsked {};
struct Tick {};

}  // namespace event

using Event = std::variant<event::Arrived, event::Said, event::AtWork, event::StateCame,
                           event::Lost, event::Written, event::WriteFailed, event::Recorded,
                           event::NotRecorded, event::DataFailed, event::ChildEnded,
                           event::StopAsked, event::CheckpointAsked, event::Tick>;

namespace action {

struct Send {
  NodeId node = 0;
  std::variant<Welcome, Refuse, Pause, SendState, Load, Start, Signal, Goodbye> message;
};
struct Close {  // when what was sent before is written
  NodeId node = 0;
  bool silent = false;  // it is lost because nothing was heard: it may hang
};
struct Keep {};  // the state that just came is now the one to serve and to save
struct Serve {   // send the kept state
  NodeId node = 0;
};
// Write the kept state; with reason best the one that just came. Then say Written.
struct Write {
  std::uint64_t step = 0;
  StateReason reason = StateReason::asked;
};
struct Append {  // to the log of the run, where it follows
  Updates updates;
};
// The group that was announced begins this generation. It does so with Recorded, which is said when whoever is
// started next knows of it.
struct Record {
  std::uint32_t generation = 0;
};
struct Announce {  // one object with "event"
  Json json;
};
struct Live {  // rank 0 trains
  Progress progress;
};
struct Finish {
  int code = 0;
  std::string text;  // empty when the code is 0
};

}  // namespace action

using Action = std::variant<action::Send, action::Close, action::Keep, action::Serve,
                            action::Write, action::Append, action::Record, action::Announce, action::Live, action::Finish>;

// What follows when a member of the group is lost: the others go on without it, as soon as they are
// Plan::min_nodes; they wait until they are Plan::nodes again; or the run is saved and ends with 69.
enum class OnLoss { go_on, wait, stop };

struct Plan {  // what a coordinator is told at its birth
  std::string run_id;
  std::string config;           // for Welcome
  std::string version;          // what Hello must say
  std::string manifest_sha256;  // what Ready must say
  std::uint64_t parameters = 0;
  std::string arithmetic;       // "defined", or "openblas" and the nodes must agree on its core
  std::vector<std::uint64_t> shard_samples;
  // Shards that stay together on one node: consecutive ranges that cover all. Empty: each is one by itself.
  std::vector<ShardRange> units;
  std::size_t tasks() const { return units.empty() ? shard_samples.size() : units.size(); }
  std::vector<LayerCost> layers;  // pipeline: from the inputs up; else none
  std::uint32_t stages = 0;       // pipeline: at most so many; 0: as many as nodes and layers allow
  BlockCosts blocks;              // tensor: of hidden units; every rank has all shards
  bool deals_blocks() const { return !blocks.flops.empty(); }
  Assignment assignment = Assignment::balanced;
  std::uint64_t steps_per_epoch = 1;
  std::uint64_t total_steps = UINT64_MAX;  // to weigh whether moving shards pays
  std::uint64_t seed = 1;       // of a random assignment
  std::uint32_t nodes = 1;      // for the first group
  std::uint32_t min_nodes = 1;  // for later ones
  OnLoss on_loss = OnLoss::go_on;
  std::uint32_t generation = 1; // the first one: above all that the run has had before
  std::int64_t kept_step = -1;  // of the checkpoint that the run goes on from
  std::int64_t wait_ns = 60'000'000'000;
  std::int64_t dead_after_ns = 3'000'000'000;
  std::int64_t hung_after_ns = 60'000'000'000;
  std::uint32_t heartbeat_ms = 500;
  bool held_apart = false;      // a group that breaks falls back to the checkpoint, or to its mirrors
};

class Coordinator {
 public:
  Coordinator(Plan plan, std::int64_t now_ns);

  // What is to be done now, in this order. After Finish nothing more comes.
  std::vector<Action> on(std::int64_t now_ns, const Event& event);

  struct NodeView {  // for --status
    NodeId node = 0;
    std::optional<std::uint32_t> rank;
    std::string host;
    std::uint64_t pid = 0;
    std::uint32_t threads = 0;
    std::string kernel;
    std::string doing;  // "loading", "ready", "training", "pausing", "done"
    Progress progress;
    std::optional<double> speed;  // samples per second of computing, where it was measured
  };
  std::vector<NodeView> nodes() const;
  std::uint32_t generation() const { return generation_; }
  // What all nodes compute with; the core's name is known when the first is ready.
  const std::string& arithmetic() const {
    return arithmetic_.empty() ? plan_.arithmetic : arithmetic_;
  }
  std::string phase() const;

 private:
  enum class Phase { forming, fetching, loading, running, saving, ended };

  struct Node {
    std::string address, via;
    Hello hello;
    bool ready = false;
    bool announced = false;              // as joined
    std::int64_t heard_ns = 0;
    // A heart that beats says little about the work: this is when it last moved on.
    std::int64_t stirred_ns = 0;
    std::uint64_t beat = 0;              // the newest heartbeat's progress
    bool asked = false;                  // Paused, Loaded or a state is wanted of it
    bool loaded = false;                 // as Load asked
    std::optional<std::int64_t> paused;  // its step, for this generation
    std::string broken;                  // why its group broke, as it says
    bool missed = false;                 // and that it did not meet somebody
    struct Out {
      std::int64_t until_ns = 0;
      std::set<NodeId> from;             // whom it does not reach
    };
    std::optional<Out> out;              // it stands by, since no group could work with it
    std::uint32_t times_out = 0;         // since it last was in a group that did
    std::optional<std::uint32_t> rank;   // in the newest group
    Json shards = Json::array();         // that it has there: [[first, last], ...]
    std::optional<Done> done;
    Progress progress;
    double declared = 0;                 // multiply-adds per second
    Speed speed;                         // as measured, in samples of an epoch per second of a step
  };
  struct Next {                          // the group that loads its shards
    std::vector<NodeId> group;           // by rank
    std::vector<std::uint32_t> owner;    // rank of each shard
    Split split;                         // pipeline
    BlockMap blocks;                     // tensor
    std::vector<NodeId> laggards;        // who gets the kept state
    std::int64_t step = 0;
    std::optional<std::int64_t> announced_ns = {};  // all hold their shards; it is being recorded since then
    std::string not_recorded = {};       // why it was not, the last time
  };
  struct Moving {                        // a group that pauses because another map is better
    std::vector<NodeId> group;
    std::vector<std::uint32_t> owner;
    double step_seconds = 0;
    std::int64_t paused_ns = 0;          // when it stood still
    bool started = false;                // its next generation has
  };
  struct Barren {                        // groups in a row that broke, or stood still, and got nowhere
    std::uint32_t groups = 0;
    std::map<std::pair<NodeId, NodeId>, std::uint32_t> unmet;  // how often these two did not meet, either way
    std::optional<std::int64_t> since_ns = {};                 // no step was applied since then
  };
  struct Ending {
    int code = 0;
    std::string text;
    std::int64_t asked_ns = 0, within_ns = INT64_MAX / 4;
  };

  // coordinator.cc: what comes in
  void take(const event::Arrived& event);
  void take(const event::Said& event);
  void take(const event::AtWork& event);
  void take(const event::StateCame& event);
  void take(const event::Lost& event);
  void take(const event::Written& event);
  void take(const event::WriteFailed& event);
  void take(const event::Recorded& event);
  void take(const event::NotRecorded& event);
  void take(const event::DataFailed& event);
  void take(const event::ChildEnded& event);
  void take(const event::StopAsked& event);
  void take(const event::CheckpointAsked& event);
  void take(const event::Tick& event);
  void said(NodeId id, const Ready& message);
  void said(NodeId id, const Paused& message);
  void said(NodeId id, const Loaded& message);
  void said(NodeId id, const Progress& message);
  void said(NodeId id, const Pace& message);
  void said(NodeId id, const Updates& message);
  void said(NodeId id, const Report& message);
  void said(NodeId id, const Done& message);
  void said(NodeId id, const Refuse& message);
  void said(NodeId id, const Goodbye& message);
  void said(NodeId id, const Heartbeat& message);
  void left(NodeId id, std::uint32_t code, const std::string& text);
  void refuse(NodeId id, const Hello& hello, const std::string& text);

  // coordinator_loss.cc: who is lost
  void lose(NodeId id, const std::string& reason);
  void lose(const std::vector<std::pair<NodeId, std::string>>& lost);
  void announce_lost(const Node& node, const std::string& reason);
  void stir(NodeId id);
  void lose_silent_and_hung();
  void break_standstill();
  void measure_step(const Progress& progress);
  std::int64_t step_ns() const;  // the median of the newest; 0: none was measured
  std::int64_t hung_ns() const;  // for so long a node's work may stand still

  // coordinator_barren.cc: groups that get nowhere
  void group_broke();
  void count_barren();
  void moved_on();
  void leave_out();
  void leave_out(NodeId id, const std::vector<NodeId>& group);
  void take_back();

  // coordinator_group.cc: groups
  void form();
  void pause(NodeId id);
  void fetch(NodeId holder, std::int64_t step);
  void write_kept();
  void ask_to_pause();
  void proceed();
  void load(Next next);
  Json shards_of(std::uint32_t rank) const;  // of next_: [[first, last], ...]
  void announce();
  void record_again();
  void start();
  std::vector<NodeId> ready_nodes() const;  // members in rank order, then the others by age
  std::vector<NodeId> candidates() const;   // of them, who may be in the next group
  std::uint32_t needed() const;
  std::size_t stages_of(std::size_t nodes) const;  // 0: no pipeline
  std::size_t places(std::size_t nodes) const;     // of so many nodes, who has work
  void deal();
  BlockMap blocks_of(const std::vector<NodeId>& group) const;
  std::vector<NodeId> members() const;      // of the newest group, in rank order

  // coordinator_pace.cc: how fast the nodes are, and what follows for the shards
  bool all_declared(const std::vector<NodeId>& group) const;
  std::vector<double> speeds_of(const std::vector<NodeId>& group) const;
  std::vector<std::uint32_t> map_of(const std::vector<NodeId>& group) const;
  void weigh(const Pace& pace);
  void learn_cost();
  void announce_times();
  double samples_per_second(double speed) const {
    return speed / static_cast<double>(std::max<std::uint64_t>(1, plan_.steps_per_epoch));
  }

  // coordinator_end.cc: how a run ends
  void hurry();
  void check_done();
  void save_and_end();
  void end_as_planned();
  void end(int code, const std::string& text, const std::string& word_for_nodes);

  template <typename M>
  void send(NodeId id, M message) {
    out_.push_back(action::Send{id, std::move(message)});
  }

  Plan plan_;
  std::int64_t now_ = 0;
  std::vector<Action> out_;
  Phase phase_ = Phase::forming;
  std::uint32_t generation_;
  std::uint32_t group_generation_ = 0;  // of the newest group; generation_ is above it while another one forms
  bool started_ = false;          // there was a group
  std::map<NodeId, Node> nodes_;  // those that said Hello
  std::optional<NodeId> holder_;  // whom SendState went to
  std::int64_t holder_step_ = -1;
  Next next_;
  bool pause_asked_ = false;      // of this group
  bool checkpoint_asked_ = false; // since the last one of rank 0's
  std::optional<Moving> moving_;
  MoveBudget moves_;
  double fixed_samples_ = 0;      // Tasks::fixed, as measured
  std::int64_t kept_step_;        // of the state the server holds
  std::int64_t writing_step_;     // newest handed to the writer
  std::int64_t written_step_;     // newest on disk
  std::int64_t final_step_ = -1;  // on disk as the final state
  std::string final_path_;
  std::int64_t newest_step_ = -1; // that anybody told of in the newest group
  bool moved_on_ = false;         // the newest group has applied a step
  Barren barren_;
  std::optional<Ending> ending_;  // stop, or nobody left: save, then end so
  std::int64_t deadline_ns_;      // for the group to be complete
  std::int64_t ticked_ns_;
  std::uint32_t standstills_ = 0; // of groups, since a step was applied; see break_standstill()
  Progress measured_;             // rank 0's, up to which steps are measured
  std::deque<double> step_seconds_;  // of the newest steps
  std::string arithmetic_;        // of the first ready node
  std::int64_t reported_epoch_ = -1;
  bool reported_first_step_ = false;
};

}  // namespace dl::coord
