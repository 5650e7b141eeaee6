// SPDX-License-Identifier: MIT
// A whole run from one seed: the real coordinator, nodes that keep the node's side of the protocol and train on
// nothing, a network that delays, reorders, doubles and breaks off, a disk that fills up and forgets, a clock.
// Nodes are killed, stopped, cut off and joined, the coordinator killed, frozen and started again. After every event
// the promises are held against what has happened; the first breach throws Breach.
//
// simulation.cc has the coordinator's process and its disk, simulation_faults.cc what goes wrong and when,
// simulation_node.cc the node's process, simulation_checks.cc the promises.
#pragma once

#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>

#include "coord/coordinator.h"
#include "simulated_disk.h"
#include "simulated_net.h"

namespace dl::test {

// A promise that did not hold.
struct Breach : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Faults of the program itself, planted to see that the checks can fail.
enum class Planted {
  nothing,
  no_generation_check,       // a node takes what a peer of another generation sends
  double_count,              // a sum that comes twice is added twice
  rename_without_fsync,      // of a checkpoint
  generation_begins_anew,    // a coordinator that is started again goes on with the generation that was last
  announced_before_written,  // a checkpoint, when its writing begins
  started_unrecorded,        // a generation begins, though the disk had no room for it
  step_kept_after_break,     // held apart: a node that has lost its group still shows its step
  mirrored_too_early,        // a mirror counts before the parts of all others are in it
};

struct Scenario {
  std::uint64_t seed = 1;
  Planted planted = Planted::nothing;
  bool trace = false;  // on stderr
};

// What a run met with.
struct Tally {
  int faults = 0, starts = 0, generations = 0, checkpoints = 0, steps_applied = 0, doubled = 0, stale = 0;
  int mirrors = 0, fell_back = 0, unrecorded = 0, parted = 0, unmet = 0;
  std::uint64_t events = 0;
};

class Simulation {
 public:
  explicit Simulation(const Scenario& scenario);
  Tally run();  // to the run's end, which must come

 private:
  using Process = std::uint16_t;  // also the port where its peers find it
  struct SentState {
    coord::StateReason reason;
    SimulatedState state;
  };
  struct Closed {};  // the conversation broke
  using Words = decltype(coord::event::Said::message);
  using FromNode = std::variant<coord::Hello, Words, SentState>;
  using ToNode = std::variant<coord::Welcome, coord::Refuse, coord::Pause, coord::SendState, coord::Load, coord::Start,
                              coord::Signal, coord::Goodbye, SimulatedState, coord::Heartbeat, Closed>;

  // What a rank gives to the sum of a step.
  struct Contribution {
    std::uint32_t generation = 0, rank = 0, bits = 0;
    std::int64_t step = 0;
    std::vector<std::uint32_t> shards;
    bool mirror = false;  // its part of the state of this step, instead
  };
  struct Group {
    coord::Start start;
    std::map<std::int64_t, std::map<std::uint32_t, std::vector<Contribution>>> came;  // by step and rank
    std::map<std::int64_t, std::set<std::uint32_t>> mirrored;  // by step: whose parts of a mirror came
    std::set<std::uint32_t> gone;  // ranks from which nothing more comes
    bool posted = false, broken = false;
    std::vector<std::uint32_t> unmet;  // ranks, when it was given up
    std::optional<std::uint32_t> mirroring;  // the parts are under way; what the step asked for comes behind them
  };
  struct Node {
    Process process = 0;
    bool stopped = false, leaving = false, working = false;
    std::vector<std::function<void()>> held;  // what came while it was stopped
    coord::NodeId id = 0;                     // in this conversation; 0: none
    std::shared_ptr<SimulatedLine> up, down;
    std::int64_t heard = 0;
    std::uint64_t progress = 0;
    std::deque<ToNode> mailbox;
    std::optional<SimulatedState> state, mirror;
    bool mirror_in_parts = false;             // those of others are not in it (a planted fault)
    std::optional<Group> group;
    std::vector<Contribution> early;          // of groups that this node has not started
    std::uint32_t started = 0, aborted = 0;   // generations: the newest; up to which all are over
  };

  // simulation.cc
  void start_coordinator();
  void coordinator_dies(const char* how);
  void serve(coord::NodeId id, std::function<void()> arrive);  // as soon as it is not frozen
  void hear(coord::NodeId id, const FromNode& message);
  void lost(coord::NodeId id);
  void tick();
  void tell(const coord::Event& event);
  void act(const coord::action::Send& a);
  void act(const coord::action::Close& a);
  void act(const coord::action::Keep& a);
  void act(const coord::action::Serve& a);
  void act(const coord::action::Write& a);
  void act(const coord::action::Announce& a);
  void act(const coord::action::Record& a);
  void act(const coord::action::Append&) {}
  void act(const coord::action::Live&) {}
  void act(const coord::action::Finish& a);
  void write_next();
  void send_down(coord::NodeId id, ToNode message);

  // simulation_node.cc
  void arrive();  // a process begins
  void dial(Process process);
  void beat(Process process);
  void say(Node& node, FromNode message);
  void arrives(Process process, std::function<void(Node&)> what);
  void hear(Node& node, ToNode message);
  void stir(Process process);
  void work(Node& node);
  bool work_in_group(Node& node);
  void handle(Node& node, ToNode message);
  void enter(Node& node, const coord::Start& start);
  void meet(Node& node);
  void post(Node& node, std::uint32_t bits);
  void send_to_peers(Node& node, const Contribution& own);
  void take(Node& node, Contribution contribution);
  void apply(Node& node);
  void begin_mirror(Node& node, std::uint32_t bits);
  void end_mirror(Node& node);
  void follow(Node& node, std::uint32_t bits);
  void fall_back(Node& node);
  void say_done(Node& node);
  void leave_group(Node& node, bool broken);
  void process_ends(Process process, bool killed);
  coord::Paused paused(const Node& node, std::uint32_t generation) const;
  std::shared_ptr<SimulatedLine> mesh_line(std::uint32_t generation, Process from, Process to);

  // simulation_faults.cc
  void disturb();
  void disturb(Node& node);
  void disturb_mesh();
  void part(Process a, Process b, std::int64_t ns);
  bool parted(Process a, Process b) const;
  void disturb_coordinator();
  void stop(Node& node, std::int64_t ns);
  Node& any_node();

  // simulation_checks.cc
  void check_after_event();
  void check_start(coord::NodeId id, const coord::Start& start);
  void check_sum(const Node& node, const std::map<std::uint32_t, std::vector<Contribution>>& came);
  void check_checkpoint(std::int64_t step);
  void check_lineage(const std::vector<std::uint32_t>& made_in);
  void check_finish(int code);
  [[noreturn]] void breach(const std::string& what) const;
  void note(const std::string& what) const;

  bool chance(std::uint64_t of) { return rng_.below(of) == 0; }
  std::int64_t between(std::int64_t low_ms, std::int64_t high_ms) {
    return (low_ms + static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(high_ms - low_ms)))) * kMs;
  }

  const Scenario scenario_;
  Rng rng_;
  SimulatedTime time_;
  coord::Plan plan_;
  bool held_apart_ = false;
  std::int64_t mirror_every_ = 0;  // steps; 0: no mirrors
  Tally tally_;

  std::map<Process, Node> nodes_;
  Process last_process_ = 0;
  std::map<std::tuple<std::uint32_t, Process, Process>, std::shared_ptr<SimulatedLine>> mesh_;
  bool parts_ = false;  // links between nodes stay cut, some for ever: then the run may end with 69, too
  std::map<std::pair<Process, Process>, std::int64_t> parted_;  // until when

  // The coordinator's process.
  std::optional<coord::Coordinator> coordinator_;
  std::uint64_t starts_ = 0;
  bool acting_ = false, frozen_ = false;
  int dies_in_ = 0;  // actions
  std::vector<std::function<void()>> held_;
  std::deque<coord::Event> events_;
  std::map<coord::NodeId, Process> peers_;
  coord::NodeId last_id_ = 0;
  std::optional<SimulatedState> kept_, arrived_;
  std::deque<std::pair<SimulatedState, coord::StateReason>> writes_;
  std::vector<SimulatedDisk::Group> owed_;  // lines of the ledger that found no room

  SimulatedDisk disk_;
  bool disk_full_ = false;
  void write_owed();
  std::int64_t calm_from_ = 0;  // nothing is disturbed any more

  // What was seen.
  std::map<coord::NodeId, coord::Paused> paused_;
  std::map<coord::NodeId, coord::Load> loads_;
  std::map<coord::NodeId, std::uint32_t> loaded_;
  std::map<coord::NodeId, std::int64_t> served_, farewell_;  // steps
  std::map<std::uint32_t, coord::Start> groups_;             // by generation
  std::set<std::pair<std::uint32_t, std::uint32_t>> ranks_;  // generation and rank that were told to start
  std::uint32_t generation_ = 0;   // the newest that was started
  std::uint64_t generation_of_ = 0;  // by which start of the coordinator
  std::int64_t announced_ = -1;    // checkpoint
  std::optional<int> finished_;
};

}  // namespace dl::test
