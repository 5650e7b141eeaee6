// SPDX-License-Identifier: MIT
#include "base/json.h"
#include "data/manifest.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  fuzz::accepted([&] {
    const auto manifest = data::Manifest::from_json(parse_json(fuzz::text_of(data, size), "fuzz"), "fuzz");
    const Json json = manifest.to_json();
    fuzz::must(data::Manifest::from_json(json, "again").to_json() == json, "what is written is read back");
  });
  return 0;
}
