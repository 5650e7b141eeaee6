// SPDX-License-Identifier: MIT
// Pieces that go from rank to rank (comm/flow.h), on the loop.
#include <algorithm>

#include "comm/tcp_group.h"

namespace dl::comm {

std::span<float> TcpRounds::place_of(std::uint32_t p, std::uint32_t value, std::uint64_t round) {
  const Piece& piece = layout_->pieces()[p];
  const Schedule::Value& v = flow_plans_.at(piece.collective).schedule().values[value];
  switch (v.where) {
    case Schedule::Where::part: return vectors_[v.index].subspan(piece.begin, piece.size());
    case Schedule::Where::result: return result().subspan(piece.begin, piece.size());
    case Schedule::Where::slot: return staging_->at(p, v.index, round);
    case Schedule::Where::ready: break;
  }
  return {};
}

// Adds and sends what can be; called whenever something has come.
void TcpRounds::advance(std::uint32_t p) {
  const Piece& piece = layout_->pieces()[p];
  Flow& flow = *flows_[p];
  if (over_) return;
  const Schedule& schedule = flow_plans_.at(piece.collective).schedule();
  const auto at = [&](std::uint32_t value) { return place_of(p, value, flow.round()); };
  while (const auto sum = flow.next_sum()) {
    const auto [left, right, to] = schedule.sums[*sum];
    if (right == kNoValue) {
      std::ranges::copy(at(left), at(to).begin());
    } else {
      add_pair(at(left).data(), at(right).data(), at(to).data(), piece.size());
    }
  }
  while (const auto send = flow.next_send()) {
    const Schedule::Send& what = schedule.sends[*send];
    const ByteView bytes = std::as_bytes(at(what.value));
    queue({.to = what.to,
           .type = net::Type::part,
           .number = frame_number(flow.round(), p, what.tag),
           .pieces = {bytes},
           .bytes = bytes.size(),
           .sent = [this, p, number = *send] {
             flows_[p]->sent(number);
             end_if_over(p);
           }});
  }
  end_if_over(p);
}

void TcpRounds::end_if_over(std::uint32_t p) {
  const Flow& flow = *flows_[p];
  if (flows_over_[p] == flow.round() || !flow.over()) return;
  flows_over_[p] = flow.round();
  one_less(layout_->pieces()[p].bucket);
}

}  // namespace dl::comm
