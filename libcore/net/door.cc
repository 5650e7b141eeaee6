// SPDX-License-Identifier: MIT
#include "net/door.h"

#include "base/error.h"
#include "net/tls.h"

namespace dl::net {

struct Door::Knocking {
  explicit Knocking(Loop& loop) : limit(loop) {}
  std::string peer;
  std::shared_ptr<Tls> tls;
  Timer limit;
  bool told = false;  // it was refused, and only its last words are still on their way
};

Door::Door(Loop& loop, Guard guard) : loop_(loop), guard_(std::move(guard)) {}

Door::~Door() { shut(); }

void Door::shut() { knocking_.clear(); }

void Door::knock(Socket socket, const std::string& peer,
                 std::function<void(std::unique_ptr<Stream>)> passed) {
  if (knocking_.size() >= kMostKnocking) {
    refuse(knocking_.begin(), fmt::format("others came before it had shown a {}", guard_.credentials->tls().noun()));
  }
  const Place who = knocking_.insert(knocking_.end(), std::make_unique<Knocking>(loop_));
  Knocking& one = **who;
  one.peer = peer;
  one.tls = std::make_shared<Tls>(std::move(socket.tcp), guard_.credentials, Tls::Side::server);
  one.limit.after(guard_.patience, [this, who] {
    refuse(who, fmt::format("no {} within {:g} s", guard_.credentials->tls().noun(),
                            static_cast<double>(guard_.patience.count()) * 1e-3));
  });
  one.tls->greet([this, who, passed = std::move(passed)](Tls::Outcome outcome,
                                                         const std::string& reason) {
    if (outcome == Tls::Outcome::passed) {
      const std::shared_ptr<Tls> tls = std::move((*who)->tls);
      knocking_.erase(who);
      passed(make_stream(tls));
      return;
    }
    if (outcome == Tls::Outcome::gone) {
      refuse(who, reason);
      return;
    }
    // An alert, or the answer to plain words, has to reach it: a socket closed at once might not let it.
    (*who)->told = true;
    if (guard_.refused) guard_.refused((*who)->peer, reason);
    const bool plain = outcome == Tls::Outcome::plain;
    (*who)->tls->say_plainly(plain ? ByteView(guard_.plain_answer) : ByteView(),
                             [this, who] { refuse(who, ""); });
  });
}

void Door::refuse(Place who, const std::string& reason) {
  const std::unique_ptr<Knocking> gone = std::move(*who);
  knocking_.erase(who);
  gone->tls->close();
  if (!gone->told && guard_.refused) guard_.refused(gone->peer, reason);
}

}  // namespace dl::net
