// SPDX-License-Identifier: MIT
#include "comm/shared_layout.h"

#include "comm/memory.h"

namespace dl::comm {

namespace {

std::size_t up(std::size_t size, std::size_t border) { return (size + border - 1) / border * border; }

}  // namespace

SharedLayout::SharedLayout(const SumPlan& plan) : ranks_(plan.ranks()) {
  std::size_t parts = 0;
  for (const auto& of_rank : plan.parts_of_rank) parts += of_rank.size();
  said_ = ranks_ * kLine;
  said_bytes_ = up(8 * (2 + plan.buckets.size()), kLine);
  shares_ = said_ + ranks_ * said_bytes_;
  records_ = shares_ + plan.buckets.size() * (1 + ranks_) * kLine;
  records_bytes_ = up(plan.record_bytes * ranks_, kLine);
  vectors_ = up(records_ + 2 * records_bytes_, 4096);
  bytes_ = vectors_ + Vectors::bytes(parts + 1, plan.size());
}

}  // namespace dl::comm
