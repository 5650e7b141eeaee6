// SPDX-License-Identifier: MIT
// Keys for tests: equal numbers, equal keys.
#pragma once

#include <array>
#include <memory>

#include "net/key.h"

namespace dl::test {

inline std::shared_ptr<const net::Key> key_of(unsigned char number) {
  std::array<std::byte, net::Key::kBytes> secret;
  secret.fill(std::byte{number});
  return std::make_shared<const net::Key>(secret);
}

}  // namespace dl::test
