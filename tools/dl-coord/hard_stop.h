// SPDX-License-Identifier: MIT
// The second SIGTERM or SIGINT ends the process even where the thread that should do so in order is held up, by a
// write to a dead disk, say.
#pragma once

#include "net/loop.h"
#include "streams.h"

namespace dl::tool {

// Lives beside a server, which takes the same signals and has half a second after the second one. What is left then is
// what a kill leaves: the run goes on from its newest checkpoint, and spawned nodes end with their parent.
class HardStop {
 public:
  explicit HardStop(cli::Streams& streams);
  ~HardStop();

 private:
  void count(int number);

  cli::Streams& streams_;
  net::Loop loop_;  // a thread of its own
  net::Timer late_;
  net::Signals signals_;
  int signals_came_ = 0;
};

}  // namespace dl::tool
