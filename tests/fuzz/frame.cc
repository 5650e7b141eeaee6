// SPDX-License-Identifier: MIT
// A frame's header as it is, and with its checksum put right.
#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "net/frame.h"
#include "target.h"

namespace {

void decode(const dl::net::HeaderBytes& bytes, dl::ByteView payload) {
  using namespace dl;
  const auto work = [&] {
    const net::Header header = net::decode_header(bytes);
    fuzz::must(header.length <= net::max_length(header.type), "lengths are bounded");
    fuzz::must(net::encode_header(header) == bytes, "what is read is what is written");
    net::check_payload(header, payload);
  };
  fuzz::accepted(work, Exit::disagree);  // of another version
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  net::HeaderBytes bytes{};
  if (size < bytes.size()) return 0;
  std::memcpy(bytes.data(), data, bytes.size());
  const ByteView payload(reinterpret_cast<const std::byte*>(data) + bytes.size(), size - bytes.size());
  decode(bytes, payload);
  const std::uint32_t crc = crc32c(ByteView(bytes).first(28));
  std::memcpy(bytes.data() + 28, &crc, sizeof crc);
  decode(bytes, payload);
  return 0;
}
