// SPDX-License-Identifier: MIT
// A round of the log of updates (dl-updates(5)).
#include "target.h"
#include "train/round_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  const ByteView bytes(reinterpret_cast<const std::byte*>(data), size);
  fuzz::accepted([&] {
    const Bytes again = train::RoundRecord::decode(bytes, "it").encode();
    fuzz::must(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()), "what is read is what is written");
  });
  return 0;
}
