// SPDX-License-Identifier: MIT
// One slice of a sum on its way through one rank's schedule, round after round. No sockets and no floats: it is told
// what has come and what has been sent, and says what is to be added and sent next.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "comm/schedule.h"

namespace dl::comm {

// A schedule, and what follows from it for every slice. Immutable.
class FlowPlan {
 public:
  explicit FlowPlan(Schedule schedule);

  const Schedule& schedule() const { return schedule_; }
  std::uint32_t slots() const { return static_cast<std::uint32_t>(schedule_.twice.size()); }

 private:
  friend class Flow;
  // Who reads a place: when its sums are made and its sends sent, it is free.
  struct Readers {
    std::vector<std::uint32_t> sums, sends;
  };
  enum class Source : std::uint8_t { own, received, made };
  struct Origin {
    Source source = Source::own;
    std::uint32_t index = 0;  // of the receive, or the sum
  };

  Schedule schedule_;
  std::vector<Origin> origins_;    // by value
  std::vector<Readers> readers_;   // by receive: of the place that it goes to
};

// All numbers of rounds begin at 1.
class Flow {
 public:
  // The plan outlives it.
  explicit Flow(const FlowPlan& plan);

  std::uint64_t round() const { return round_; }
  // The next round: own parts are there. The one before must be over; 70 where it is not.
  void begin();
  // The receive that a frame is; nothing where none belongs there now: it is nobody's, comes twice, or before its place
  // is free.
  std::optional<std::uint32_t> expects(std::uint32_t from, std::uint32_t tag, std::uint64_t round) const;
  void arrived(std::uint32_t receive);
  void sent(std::uint32_t send);

  // What can be done now, each once; sums are to be made before the next question, sends may take their time.
  std::optional<std::uint32_t> next_sum();
  std::optional<std::uint32_t> next_send();

  // The total is there, and everything is sent. True before the first round.
  bool over() const;
  // Whether something of this round is still to come from this rank or to go to it.
  bool needs(std::uint32_t rank) const;

 private:
  bool there(std::uint32_t value) const;

  const FlowPlan* plan_;
  std::uint64_t round_ = 0;
  // Rounds, by receive, sum and send.
  std::vector<std::uint64_t> arrived_, made_, begun_, sent_;
};

}  // namespace dl::comm
