// SPDX-License-Identifier: MIT
#include "comm/shared_layout.h"

#include "comm/memory.h"

namespace dl::comm {

namespace {

std::size_t up(std::size_t size, std::size_t border) { return (size + border - 1) / border * border; }

}  // namespace

SharedLayout::SharedLayout(const SumPlan& plan) {
  std::size_t parts = 0;
  for (const auto& of_rank : plan.parts_of_rank) parts += of_rank.size();
  said_ = plan.ranks() * kLine;
  said_bytes_ = up(8 * (2 + plan.buckets.size()), kLine);
  shares_ = said_ + plan.ranks() * said_bytes_;
  records_ = shares_ + plan.buckets.size() * kLine;
  records_bytes_ = up(std::size_t{plan.record_bytes} * plan.ranks(), kLine);
  vectors_ = up(records_ + 2 * records_bytes_, 4096);
  bytes_ = vectors_ + Vectors::bytes(parts + 1, plan.size());
}

}  // namespace dl::comm
