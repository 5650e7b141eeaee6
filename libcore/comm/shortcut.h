// SPDX-License-Identifier: MIT
// From the TCP connection on which two ranks of one host have greeted each other to a Unix socket
// between them. Internal to comm; everything on the loop.
//
// The rank that was dialled invites the other one: its hello has the pass (net/unix_door.h). The one
// that dialled shows it, and from then on frames go over the Unix socket, and the TCP connection is
// closed. Where it is not let in (the socket cannot be reached from there), it says `mesh_stay` over TCP,
// where frames then go. Both always come to the same: who was let in never says `mesh_stay`.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/connection.h"
#include "net/unix_door.h"

namespace dl::comm {

class Shortcut {
 public:
  struct Events {
    // Frames go over this connection. `why`: what kept it from being the Unix socket; empty where it is.
    std::function<void(std::shared_ptr<net::Connection>, const std::string& why)> settled;
    // The TCP connection ended before that.
    std::function<void(const std::string& reason)> lost;
  };

  // Of the rank that was dialled. The door outlives it.
  Shortcut(net::UnixDoor& door, std::shared_ptr<net::Connection> tcp, Events events);
  // Of the rank that dialled.
  Shortcut(net::Loop& loop, const net::UnixPass& pass, std::shared_ptr<net::Connection> tcp,
           Events events);
  // Gives up without a callback: the invitation does not hold any more. A callback may do it.
  ~Shortcut();
  Shortcut(const Shortcut&) = delete;
  Shortcut& operator=(const Shortcut&) = delete;

  const net::UnixPass& pass() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dl::comm
