// SPDX-License-Identifier: MIT
// What two nodes say to each other before floats travel: the one that dials, then the other one.
#pragma once

#include <cstdint>

#include "net/message.h"

namespace dl::comm {

struct MeshHello {
  static constexpr net::Type type = net::Type::mesh_hello;
  net::Text<64> run_id;
  std::uint32_t generation = 0;
  std::uint32_t rank = 0;  // of the sender
  net::Text<32> host;      // host_identity(); empty where the sender wants TCP
  template <class A>
  void serialize(A& a, unsigned) {
    a & run_id & generation & rank & host;
  }
};

}  // namespace dl::comm
