// SPDX-License-Identifier: MIT
// Coordinator stories as text: one event per line, and under it, behind "> ", the actions it led to.
//
//   arrive NODE [version=V] [protocol=N] [address=A] [via=A] [threads=N]
//   ready NODE [manifest=M] [parameters=N] [arithmetic=A]
//   paused NODE gen G step S [broken WHY | unmet RANK...]
//   state NODE REASON step S           progress NODE step S [seconds T]
//   report NODE JSON                done NODE step S sha X [summary]
//   refuse NODE CODE TEXT           goodbye NODE CODE TEXT          lost NODE REASON
//   written REASON step S           write-failed CODE TEXT          child CODE TEXT
//   stop CODE                       checkpoint                      beat NODE [PROGRESS]
//   updates NODE gen G from A to B
//   loaded NODE gen G               data-failed CODE TEXT
//   disk full                       disk free
//   coming NODE                     (a part of its state, or a wish for a part of a file)
//   at SECONDS                      (the clock moves on, and ticks)
//
// A generation is recorded at once, which needs no line, unless the disk is full.
#pragma once

#include <string>
#include <vector>

#include "coord/coordinator.h"

namespace dl::test {

// What most stories begin with: four shards, two nodes, parameters 10, manifest "m".
coord::Plan plan();

// The line of an action, without "> ".
std::string line_of(const coord::Action& action);

// Plays the events of a script (lines that begin with "> " are passed over) and gives the script
// back with the actions that came.
std::string play(const coord::Plan& plan, const std::string& script);

}  // namespace dl::test
