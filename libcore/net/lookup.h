// SPDX-License-Identifier: MIT
// The addresses of a host. For net's own sources.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "net/address.h"
#include "net/asio.h"

namespace dl::net {

// Looks a host up on a thread of its own, for which nobody ever waits: getaddrinfo() cannot be interrupted, and takes
// half a minute where no name server answers. (Asio's resolver has such a thread too, but its loop cannot end before.)
class Lookup {
 public:
  // Made and destroyed on the loop. `found` is called on it, once, with nothing where there is no such host; not after
  // this object is gone.
  Lookup(Loop& loop, const Address& address, std::function<void(std::vector<Tcp::endpoint>)> found);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

 private:
  struct Wish;
  std::shared_ptr<Wish> wish_;
};

}  // namespace dl::net
