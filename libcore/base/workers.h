// SPDX-License-Identifier: MIT
// A fixed team of compute threads for one owner.
#pragma once

#include <functional>
#include <memory>

namespace dl {

// run() gives every member the same work and waits for all. The owner's thread is member 0, so a
// team of one starts no thread. Denormals are flushed (FTZ, DAZ) in the threads of the team; the
// owner flushes its own by flush_denormals(). Used by one thread at a time. Idle members spin for a
// moment, then sleep.
class Workers {
 public:
  explicit Workers(unsigned threads);  // at least 1
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  unsigned size() const;
  // Calls work(member) once for each member 0 .. size()-1. The first exception is thrown again here.
  void run(const std::function<void(unsigned)>& work);

 private:
  struct Team;
  std::unique_ptr<Team> team_;
};

// Sets this thread to flush denormal results and inputs to zero. Every thread that computes
// parameters calls it once; one denormal-laden gradient makes products a hundred times slower.
void flush_denormals();

}  // namespace dl
