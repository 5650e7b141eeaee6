// SPDX-License-Identifier: MIT
// Digests: SHA-256 (libcrypto) names contents, CRC-32C finds damage.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/file.h"

namespace dl {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void add(ByteView bytes);
  std::string hex();  // 64 lower-case digits; ends the digest, call once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(ByteView bytes);
std::string sha256_of_file(const fs::path& path);  // 66 where it cannot be read

// CRC-32C (Castagnoli; RFC 3720, appendix B.4). `before` is the value of the bytes before these.
// Uses the processor's instruction where there is one (about 10 GB/s), Boost.CRC elsewhere.
std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0);
std::uint32_t crc32c_portable(ByteView bytes, std::uint32_t before = 0);

}  // namespace dl
