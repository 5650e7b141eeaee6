// SPDX-License-Identifier: MIT
// Standard output and standard error of the tools that others depend on while they run.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "base/outlet.h"

namespace dl::cli {

// Nobody waits for whoever reads what is said. Owned by main.
class Streams {
 public:
  using Patience = std::optional<std::chrono::milliseconds>;
  static constexpr std::chrono::milliseconds kShort{1000};

  explicit Streams(const Log& log);

  Outlet& out() { return *out_; }
  Outlet& err() { return *err_; }
  const Log& log() const { return log_; }  // to standard error
  // A warning that is said even where -q leaves nothing but errors.
  void alarm(const std::string& text) const;

  // Does the work, says in one line why it failed, and waits for the readers: as long as they read, and one that takes
  // nothing for `patience` no longer (none: it is waited for until it leaves). After a signal and out of time (75),
  // patience is a second. 74 where standard output could not be written.
  Exit run(const std::function<Exit()>& work, Patience patience);

 private:
  std::shared_ptr<Outlet> out_, err_;
  Log log_;
};

}  // namespace dl::cli
