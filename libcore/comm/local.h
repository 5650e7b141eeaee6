// SPDX-License-Identifier: MIT
// Ranks that are threads of one process. The one-node case, and the reference in tests.
#pragma once

#include <memory>
#include <string>

#include "comm/communicator.h"

namespace dl::comm {

// A group whose ranks share memory. rank(r) may be used by a thread of its own; the group must outlive
// what rank() gave.
//
// The result is one for all ranks.
class LocalGroup {
 public:
  explicit LocalGroup(SumPlan plan);
  ~LocalGroup();
  LocalGroup(const LocalGroup&) = delete;
  LocalGroup& operator=(const LocalGroup&) = delete;

  // One end. Each rank once. One that goes before its parts are added aborts the group.
  std::unique_ptr<Communicator> rank(std::uint32_t rank);
  // Every rank's next or present start, wait or collect throws RoundAborted. Any thread.
  void abort(const std::string& reason);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dl::comm
