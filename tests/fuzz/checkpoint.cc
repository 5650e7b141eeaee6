// SPDX-License-Identifier: MIT
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  const ByteView bytes(reinterpret_cast<const std::byte*>(data), size);
  fuzz::accepted([&] { (void)checkpoint::decode_checkpoint(bytes, "fuzz"); });
  fuzz::accepted([&] {
    const auto content = checkpoint::decode(bytes, "fuzz");
    std::uint64_t total = 0;
    for (const auto& tensor : content.tensors) {
      for (const std::byte byte : tensor.bytes) total += static_cast<unsigned>(byte);
    }
    fuzz::must(total <= 255 * std::uint64_t{size}, "tensors lie in the file");
    (void)checkpoint::digest(content, "sha256");
  });
  return 0;
}
