// SPDX-License-Identifier: MIT
// Codes of gradients, as a peer may send them: a byte that says which codec and a byte for the number of elements.
#include <cmath>

#include "comm/codec.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  if (size < 2) return 0;
  constexpr const char* kCodecs[] = {"bf16", "int8", "topk=0.01", "topk=0.5"};
  const auto codec = comm::make_codec({.spec = comm::parse_compression(kCodecs[data[0] % 4])});
  const std::uint64_t round = data[0] / 4;
  std::vector<float> out(4 * std::size_t{data[1]});
  const ByteView code(reinterpret_cast<const std::byte*>(data) + 2, size - 2);
  if (fuzz::accepted([&] { codec->decode(code, round, out); })) {
    for (const float x : out) fuzz::must(std::isfinite(x), "what is decoded is finite");
  }
  if (fuzz::accepted([&] { codec->decode_cut(code, round, data[1], out); })) {
    for (const float x : out) fuzz::must(std::isfinite(x), "what is decoded of a cut is finite");
  }
  return 0;
}
