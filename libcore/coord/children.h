// SPDX-License-Identifier: MIT
// Local nodes as child processes (--spawn): started, started again when they die, never left behind.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/loop.h"

namespace dl::coord {

// Used on the loop's thread, or while the loop does not run; the thread that starts children must be
// the one that lives as long as the process (the kernel kills them when it ends, however it ends).
// A child has a process group of its own, so that Ctrl-C reaches only its parent, standard input from
// /dev/null, and standard output where standard error goes: results are the parent's.
class Children {
 public:
  // `failed` is called when a child ends with a code that a new one would end with too (64, 65, 66,
  // 70, 76, 77), or dies again and again at its start.
  // They inherit this process's environment, and `variables` ("NAME=value") instead of what it has of
  // those names.
  Children(net::Loop& loop, std::vector<std::string> command, std::vector<std::string> variables,
           std::function<void(Exit code, const std::string& text)> failed);
  ~Children();  // kills those that are left, and waits a second at most until they are gone
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  void start(unsigned count);
  void ready(pid_t pid);  // it has started well: SIGKILL from outside is no failure to start then
  void kill(pid_t pid);  // one of ours, because it hangs; another takes its place
  // No new ones; `all_gone` is called when the last one has ended.
  void dismiss(std::function<void()> all_gone);

 private:
  struct Child;
  void launch(Child& child);
  void reap();
  void ended(Child& child, int status);

  net::Loop& loop_;
  std::vector<std::string> command_;
  std::vector<std::string> environment_;
  std::function<void(Exit, const std::string&)> failed_;
  std::vector<std::unique_ptr<Child>> children_;
  std::unique_ptr<net::Signals> signals_;
  bool dismissed_ = false;
  std::function<void()> all_gone_;
};

}  // namespace dl::coord
