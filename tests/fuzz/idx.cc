// SPDX-License-Identifier: MIT
#include "array.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dl::fuzz::read_array("idx", data, size);
  return 0;
}
