// SPDX-License-Identifier: MIT
#include <boost/crc.hpp>

#include "base/hash.h"

namespace dl {

namespace {

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(ByteView bytes, std::uint32_t before) {
  std::uint64_t crc = ~before;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    crc = __builtin_ia32_crc32di(crc, word);
  }
  auto short_crc = static_cast<std::uint32_t>(crc);
  for (; left > 0; --left, ++at) {
    short_crc = __builtin_ia32_crc32qi(short_crc, static_cast<unsigned char>(*at));
  }
  return ~short_crc;
}
#endif

std::uint32_t reflect(std::uint32_t x) {
  std::uint32_t out = 0;
  for (int i = 0; i < 32; ++i) out |= ((x >> i) & 1U) << (31 - i);
  return out;
}

}  // namespace

std::uint32_t crc32c_portable(ByteView bytes, std::uint32_t before) {
  // Boost.CRC keeps the remainder unreflected; a continued value is put back that way.
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc(reflect(~before));
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

std::uint32_t crc32c(ByteView bytes, std::uint32_t before) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42(bytes, before);
#endif
  return crc32c_portable(bytes, before);
}

}  // namespace dl
