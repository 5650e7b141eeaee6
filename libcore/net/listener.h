// SPDX-License-Identifier: MIT
// Takes connections in.
#pragma once

#include <functional>
#include <memory>

#include "net/address.h"
#include "net/connection.h"
#include "net/door.h"
#include "net/loop.h"

namespace dl::net {

// What an address without a host means: every address of this machine, or 127.0.0.1 and ::1, which other machines
// do not reach.
enum class Reach { everywhere, loopback };

// Listens from its construction, which any thread may do. Port 0 takes a free one. Fails with 73 where
// the address cannot be listened on (in use, not of this machine). Runs out of file descriptors
// without harm: connections wait until there are some. A machine without IPv6 is listened on by IPv4 alone.
class Listener {
 public:
  // `accepted` is called on the loop, for each connection that the guard lets pass; it opens or drops it.
  Listener(Loop& loop, const Address& address,
           std::function<void(std::shared_ptr<Connection>)> accepted, Guard guard = {},
           Reach reach = Reach::everywhere);
  ~Listener();  // on the loop, or any thread that may call() it
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Where it is `loopback`: listens everywhere from now on, at the same port, which was kept for it. On the loop;
  // fails with 73.
  void open_everywhere();

  const Address& address() const { return address_; }  // with the port that was taken
  std::uint16_t port() const { return address_.port; }

 private:
  struct State;
  Loop& loop_;
  Address address_;
  std::shared_ptr<State> state_;
};

}  // namespace dl::net
