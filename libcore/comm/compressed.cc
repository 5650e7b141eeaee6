// SPDX-License-Identifier: MIT
#include "comm/compressed.h"

#include <utility>

#include "comm/coded_sum.h"
#include "comm/powersgd_sum.h"

namespace dl::comm {

std::unique_ptr<Communicator> make_compressed(const SumPlan& plan, const Compression& compression,
                                              CompressionState state, std::uint64_t round, const Connect& connect) {
  if (compression.settings.spec.scheme == Scheme::powersgd) {
    return std::make_unique<PowerSgdSum>(plan, compression, std::move(state), round, connect);
  }
  return std::make_unique<CodedSum>(plan, compression, std::move(state), round, connect);
}

}  // namespace dl::comm
