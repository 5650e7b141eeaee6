// SPDX-License-Identifier: MIT
// A round of the log of updates (dl-updates(5)).
#include "target.h"
#include "train/round_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  const ByteView bytes(reinterpret_cast<const std::byte*>(data), size);
  for (const std::uint32_t groups : {0U, 1U, 3U}) {
    fuzz::accepted([&] {
      const Bytes again = train::RoundRecord::decode(bytes, groups, "it").encode();
      fuzz::must(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()), "what is read is what is written");
    });
  }
  return 0;
}
