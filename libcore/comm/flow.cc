// SPDX-License-Identifier: MIT
#include "comm/flow.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace dl::comm {

using Where = Schedule::Where;

FlowPlan::FlowPlan(Schedule schedule) : schedule_(std::move(schedule)), origins_(schedule_.values.size()) {
  const Schedule& s = schedule_;
  for (std::uint32_t i = 0; i < s.receives.size(); ++i) origins_[s.receives[i].value] = {Source::received, i};
  for (std::uint32_t i = 0; i < s.sums.size(); ++i) origins_[s.sums[i].to] = {Source::made, i};
  for (const Schedule::Receive& receive : s.receives) {
    const Schedule::Value& place = s.values[receive.value];
    const auto same = [&](std::uint32_t value) {
      return value != kNoValue && s.values[value].where == place.where && s.values[value].index == place.index;
    };
    Readers& readers = readers_.emplace_back();
    if (place.where == Where::ready) continue;
    for (std::uint32_t i = 0; i < s.sums.size(); ++i) {
      if (same(s.sums[i].left) || same(s.sums[i].right)) readers.sums.push_back(i);
    }
    for (std::uint32_t i = 0; i < s.sends.size(); ++i) {
      if (same(s.sends[i].value)) readers.sends.push_back(i);
    }
  }
}

Flow::Flow(const FlowPlan& plan)
    : plan_(&plan),
      arrived_(plan.schedule_.receives.size()),
      made_(plan.schedule_.sums.size()),
      begun_(plan.schedule_.sends.size()),
      sent_(plan.schedule_.sends.size()) {}

void Flow::begin() {
  if (!over()) fail(Exit::bug, "round {} of a sum begins before the one before is over", round_ + 1);
  ++round_;
}

bool Flow::there(std::uint32_t value) const {
  const FlowPlan::Origin& origin = plan_->origins_[value];
  switch (origin.source) {
    case FlowPlan::Source::own: return true;
    case FlowPlan::Source::received: return arrived_[origin.index] >= round_;
    case FlowPlan::Source::made: return made_[origin.index] >= round_;
  }
  return false;
}

std::optional<std::uint32_t> Flow::expects(std::uint32_t from, std::uint32_t tag, std::uint64_t round) const {
  const Schedule& s = plan_->schedule_;
  for (std::uint32_t i = 0; i < s.receives.size(); ++i) {
    const Schedule::Receive& receive = s.receives[i];
    if (receive.from != from || receive.tag != tag) continue;
    if (round != arrived_[i] + 1) return std::nullopt;
    const Schedule::Value& place = s.values[receive.value];
    // The result is read until the round after it begins.
    const bool early = place.where != Where::result;
    if (round > round_ + (early ? 1 : 0)) return std::nullopt;
    const std::uint64_t kept = place.where == Where::slot && s.twice[place.index] ? 2 : 1;
    if (round <= kept) return i;
    const FlowPlan::Readers& readers = plan_->readers_[i];
    const auto done = [&](const std::vector<std::uint32_t>& which, const std::vector<std::uint64_t>& rounds) {
      return std::ranges::all_of(which, [&](std::uint32_t w) { return rounds[w] >= round - kept; });
    };
    if (!done(readers.sums, made_) || !done(readers.sends, sent_)) return std::nullopt;
    return i;
  }
  return std::nullopt;
}

void Flow::arrived(std::uint32_t receive) { ++arrived_[receive]; }
void Flow::sent(std::uint32_t send) { ++sent_[send]; }

std::optional<std::uint32_t> Flow::next_sum() {
  const Schedule& s = plan_->schedule_;
  for (std::uint32_t i = 0; i < s.sums.size(); ++i) {
    if (made_[i] >= round_ || !there(s.sums[i].left)) continue;
    if (s.sums[i].right != kNoValue && !there(s.sums[i].right)) continue;
    ++made_[i];
    return i;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> Flow::next_send() {
  const Schedule& s = plan_->schedule_;
  for (std::uint32_t i = 0; i < s.sends.size(); ++i) {
    if (begun_[i] >= round_ || !there(s.sends[i].value)) continue;
    if (s.sends[i].after != kNoValue && !there(s.sends[i].after)) continue;
    ++begun_[i];
    return i;
  }
  return std::nullopt;
}

bool Flow::over() const {
  if (round_ == 0) return true;
  return there(plan_->schedule_.total) &&
         std::ranges::all_of(sent_, [&](std::uint64_t rounds) { return rounds >= round_; });
}

bool Flow::needs(std::uint32_t rank) const {
  const Schedule& s = plan_->schedule_;
  for (std::uint32_t i = 0; i < s.receives.size(); ++i) {
    if (s.receives[i].from == rank && arrived_[i] < round_) return true;
  }
  for (std::uint32_t i = 0; i < s.sends.size(); ++i) {
    if (s.sends[i].to == rank && sent_[i] < round_) return true;
  }
  return false;
}

}  // namespace dl::comm
