// SPDX-License-Identifier: MIT
#include "comm/codec_loops.h"

namespace dl::comm {

const CodecKernels& baseline_codec_kernels() {
  static constexpr CodecKernels kKernels = kernels_named("baseline");
  return kKernels;
}

}  // namespace dl::comm
