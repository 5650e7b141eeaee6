// SPDX-License-Identifier: MIT
// What two nodes say to each other before floats travel: the one that dials, then the other one.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "net/message.h"
#include "net/unix_door.h"

namespace dl::comm {

struct MeshHello {
  static constexpr net::Type type = net::Type::mesh_hello;
  net::Text<64> run_id;
  std::uint32_t generation = 0;
  std::uint32_t rank = 0;  // of the sender
  net::Text<32> host;      // host_identity(); empty where the sender wants TCP
  // In the answer to a rank of the same host, where it is invited to; a socket without a name elsewhere.
  net::Text<48> socket = {};
  std::array<std::uint64_t, 4> token = {};
  template <class A>
  void serialize(A& a, unsigned) {
    a & run_id & generation & rank & host & socket & token[0] & token[1] & token[2] & token[3];
  }

  void invite(const net::UnixPass& pass) {
    socket = net::Text<48>(pass.name);
    token = std::bit_cast<decltype(token)>(pass.token);
  }
  net::UnixPass pass() const {
    return {socket.str(), std::bit_cast<decltype(net::UnixPass::token)>(token)};
  }
};

// The invited one's answer where it is not let in: frames go over the connection that this comes by.
struct MeshStay {
  static constexpr net::Type type = net::Type::mesh_stay;
  net::Text<128> why;  // for people
  template <class A>
  void serialize(A& a, unsigned) {
    a & why;
  }
};

}  // namespace dl::comm
