// SPDX-License-Identifier: MIT
// One dl-node process: an I/O thread that talks, a training thread that computes, a mailbox between.
#pragma once

#include <string>

#include "base/error.h"
#include "base/log.h"
#include "comm/mesh.h"
#include "net/certificate.h"

namespace dl::train {

struct NodeOptions {
  std::string coordinator;       // HOST:PORT
  std::string key;               // the file with the run's key; waited for as the coordinator is
  net::CertificateFiles tls;     // instead of a key, where they are given
  bool insecure = false;         // neither: everything in plain TCP
  std::string data;              // manifest's directory on this machine; empty: the coordinator's, where
                                 // it is to be seen here
  bool fetch = false;            // without looking for the coordinator's directory
  std::string cache;             // where fetched files are kept; empty: usual_cache()
  unsigned threads = 1;          // compute threads
  std::string kernel = "automatic";   // automatic, avx512, avx2, scalar
  comm::Transport transport = comm::Transport::automatic;  // between nodes
  double wait_seconds = 60;      // how long to try to reach the coordinator
};

// Works for one run until the coordinator says goodbye, and returns the exit code. Runs the training
// on the calling thread. SIGTERM and SIGINT: the group finishes the step, this node leaves it
// (128+n); a second one ends the process at once.
int run_node(const NodeOptions& options, const Log& log);

}  // namespace dl::train
