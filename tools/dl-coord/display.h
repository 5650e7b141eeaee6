// SPDX-License-Identifier: MIT
// What a person sees of a run on standard error, and the results on standard output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "comm/collective.h"
#include "coord/messages.h"
#include "streams.h"

namespace dl::tool {

class Display {
 public:
  struct Run {
    std::uint64_t total_steps = 0;
    std::uint64_t steps_per_epoch = 1;
    std::uint64_t epochs = 0;  // 0: the run is measured in steps
    std::optional<comm::Collective> collective = std::nullopt;  // that sums are to go by
  };
  // With `json`, every event is a line on standard output; without, the last one is a table.
  Display(cli::Streams& streams, bool json, Run run);
  ~Display();  // leaves no half-drawn line behind
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;

  void event(const Json& event);
  // At most ten times a second on a terminal, else a line every ten seconds.
  void live(const coord::Progress& progress);

 private:
  void tell(const Json& event);
  void erase();
  void check_collective(const Json& owner, std::uint32_t ranks);
  std::string line_of(const coord::Progress& progress, double rate) const;

  cli::Streams& streams_;
  const Log& log_;
  bool json_;
  Run run_;
  bool terminal_;
  bool drawn_ = false;
  std::int64_t shown_ns_ = 0;
  coord::Progress base_;  // where the rate is measured from
  double rate_ = 0;
  bool goes_direct_ = false;    // said that the collective does not fit
  std::uint64_t refusals_ = 0;  // of steps; many of them are worth few lines
  Json nodes_ = Json::array();  // where their time went
};

// The table at a run's end.
std::string summary(const Json& done);
// And a line for each node of the `nodes` event.
std::string times_of(const Json& nodes);

// "12,345"
std::string grouped(std::uint64_t number);
// "0-3, 6" for the shards of one rank.
std::string ranges_of(const Json& owner, std::uint32_t rank);

}  // namespace dl::tool
