// SPDX-License-Identifier: MIT
// A way in for processes of the same host and user, where nothing needs to be encrypted: an abstract
// Unix-domain socket.
//
// Its name is random, no file system has it, only its network namespace sees it, and it is gone with the
// process, however that ends. Who wants in needs a pass, which it is to be told over a connection that
// is secured. Each side asks the system who the other one is (SO_PEERCRED) before it reads or says
// anything: a process of another user is sent away unheard, and never told a pass.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "net/connection.h"
#include "net/loop.h"

namespace dl::net {

struct UnixPass {
  static constexpr std::size_t kTokenBytes = 32;

  std::string name;                            // of the socket; not the zero byte before it
  std::array<std::byte, kTokenBytes> token{};  // a secret
};

// Made, used and destroyed on the loop, or by any thread that may call() it. At most kMostKnocking
// connections wait here at a time for their pass to arrive, for `patience` each, and of none is more read
// than a pass is long. When one more comes the oldest has to go: who has a pass says it at once.
class UnixDoor {
 public:
  static constexpr std::size_t kMostKnocking = 64;

  // Listens. Fails with 73 where the system does not let it.
  explicit UnixDoor(Loop& loop, Milliseconds patience = Milliseconds(5000));
  ~UnixDoor();
  UnixDoor(const UnixDoor&) = delete;
  UnixDoor& operator=(const UnixDoor&) = delete;

  // A pass for one connection, which `came` is given on the loop, not open() yet. It holds until it is
  // used or taken back.
  UnixPass invite(std::function<void(std::shared_ptr<Connection>)> came);
  void take_back(const UnixPass& pass);

 private:
  struct State;
  Loop& loop_;
  std::shared_ptr<State> state_;
};

// Shows a pass at a door. On the loop; destroying it gives up without a callback. It sets no limit of
// time: a door that was shown a pass answers or closes.
class UnixDial {
 public:
  struct Events {
    std::function<void(std::shared_ptr<Connection>)> connected;  // it is not open() yet
    std::function<void(const std::string& reason)> failed;
  };
  UnixDial(Loop& loop, const UnixPass& pass, Events events);
  ~UnixDial();
  UnixDial(const UnixDial&) = delete;
  UnixDial& operator=(const UnixDial&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dl::net
