// SPDX-License-Identifier: MIT
#include "hard_stop.h"

#include <unistd.h>

#include <csignal>

namespace dl::tool {

namespace {

constexpr net::Milliseconds kInOrder(500), kLastLine(100);

}  // namespace

HardStop::HardStop(cli::Streams& streams)
    : streams_(streams), late_(loop_), signals_(loop_, {SIGTERM, SIGINT}, [this](int number) { count(number); }) {
  loop_.start();
}

HardStop::~HardStop() { loop_.stop(); }

void HardStop::count(int number) {
  if (++signals_came_ != 2) return;
  late_.after(kInOrder, [this, number] {
    streams_.log().error("a second signal, and the run cannot be ended in order: ended at once");
    streams_.err().drain(kLastLine);
    ::_exit(128 + number);
  });
}

}  // namespace dl::tool
