// SPDX-License-Identifier: MIT
// Where those who connect show a key or a certificate, before anything else is made for them.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "net/credentials.h"
#include "net/loop.h"

namespace dl::net {

class Stream;

// Whom a listener lets in: who has the key, or a certificate that is good; without credentials, everybody, in
// plain TCP.
struct Guard {
  std::shared_ptr<const Credentials> credentials = {};
  Bytes plain_answer = {};  // a frame for a peer that speaks dl without TLS; may be empty
  // Somebody was not let in; on the loop. May be empty.
  std::function<void(const std::string& peer, const std::string& reason)> refused = {};
  Milliseconds patience{5000};  // for the greeting
};

// Of a listener's, on its loop. At most kMostKnocking connections stand here at a time, for as
// long as the guard's patience, and at most 4 KiB (certificates: 16) of what one says is looked at. When one
// more comes the oldest has to go: who has the key is through in a few round trips, and a node that had to go
// comes again.
class Door {
 public:
  static constexpr std::size_t kMostKnocking = 64;

  Door(Loop& loop, Guard guard);
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  struct Socket;  // a connected one
  void knock(Socket socket, const std::string& peer,
             std::function<void(std::unique_ptr<Stream>)> passed);
  void shut();  // sends everybody away, without a word

 private:
  struct Knocking;
  using Place = std::list<std::unique_ptr<Knocking>>::iterator;
  void refuse(Place who, const std::string& reason);

  Loop& loop_;
  const Guard guard_;
  std::list<std::unique_ptr<Knocking>> knocking_;  // the oldest first
};

}  // namespace dl::net
