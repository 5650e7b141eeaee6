// SPDX-License-Identifier: MIT
#include "comm/codec_loops.h"

namespace dl::comm {

const CodecKernels& avx512_codec_kernels() {
  static constexpr CodecKernels kKernels = kernels_named("avx512");
  return kKernels;
}

}  // namespace dl::comm
