// SPDX-License-Identifier: MIT
// Makes connections.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/address.h"
#include "net/connection.h"
#include "net/credentials.h"
#include "net/loop.h"

namespace dl::net {

// Tries to connect until it works or the time is over: at once, then after 10 ms, 20 ms, ... up to
// half a second. So a node may start before its coordinator. On the loop's thread; destroying it
// gives up without a callback.
class Dial {
 public:
  struct Events {
    std::function<void(std::shared_ptr<Connection>)> connected;  // it is not open() yet
    std::function<void(const std::string& reason)> failed;       // of the last attempt
    // The peer does not take our key or certificate, or we do not take its, or it has none. At once: trying
    // again would not help. Where this is empty, `failed` hears it.
    std::function<void(const std::string& reason)> denied = {};
  };
  // With credentials, the connection is secured by them; without, it is plain.
  Dial(Loop& loop, Address address, Milliseconds patience, Events events,
       std::shared_ptr<const Credentials> credentials = {});
  ~Dial();
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dl::net
