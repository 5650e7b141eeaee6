// SPDX-License-Identifier: MIT
// The key of a run: 32 secret bytes, and the file that holds them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/file.h"
#include "net/credentials.h"
#include "net/loop.h"

namespace dl::net {

// Whoever holds it is in.
class Key : public Credentials {
 public:
  static constexpr std::size_t kBytes = 32;

  explicit Key(std::span<const std::byte, kBytes> secret);
};

// Reads a key file: 64 hexadecimal digits and the end of the line. 66 where there is none, 65 where it
// holds anything else, 77 where others may read it or it belongs to another user. A file that is not there
// yet is waited for: a node may start before its coordinator, which makes the key.
std::shared_ptr<const Key> read_key(const fs::path& file, Milliseconds patience = Milliseconds(0));

// Writes a key file of new bytes from the system, for its owner alone; one that is there is replaced,
// at once and whole. 73 where it cannot.
void make_key(const fs::path& file);

}  // namespace dl::net
