// SPDX-License-Identifier: MIT
#include "comm/compression_state.h"

namespace dl::comm {

bool has_velocity(const Compression& compression) {
  const CodecSettings& settings = compression.settings;
  return settings.spec.scheme == Scheme::topk && settings.momentum > 0;
}

std::uint64_t basis_size(const Compression& compression) {
  const CompressionSpec& spec = compression.settings.spec;
  std::uint64_t size = 0;
  if (spec.scheme != Scheme::powersgd) return size;
  for (const WeightMatrix& matrix : low_rank_matrices(compression.matrices, spec.rank)) {
    size += std::uint64_t{spec.rank} * matrix.cols;
  }
  return size;
}

}  // namespace dl::comm
