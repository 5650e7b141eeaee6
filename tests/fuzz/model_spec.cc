// SPDX-License-Identifier: MIT
#include "nn/model_spec.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  fuzz::accepted([&] {
    nn::Ends ends;
    ends.inputs = 64;
    ends.outputs = 10;
    const nn::ModelSpec spec = nn::parse_model(fuzz::text_of(data, size), "fuzz", ends);
    fuzz::must(nn::parse_model(spec.text(), "again", ends).text() == spec.text(), "what is written is read back");
    (void)spec.parameter_count();
  });
  return 0;
}
