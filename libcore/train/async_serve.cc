// SPDX-License-Identifier: MIT
// The owner's side of mode async: what comes from others, and what follows from it. train/async.h says what for.
#include <algorithm>

#include "base/error.h"
#include "train/async.h"
#include "train/async_messages.h"

namespace dl::train {

void Async::take(Contribution contribution) {
  arrivals_.push_back(contribution.unit);
  owner_.arrive(std::move(contribution));
  advance();
}

// Whatever follows from what has come.
void Async::advance() {
  for (;;) {
    if (const std::optional<NormShare> share = owner_.take_share()) tell(*share);
    if (!owner_.advance()) return;
    note_own();
    for (std::uint32_t r = 0; r < readers_.size(); ++r) {
      if (r != me_) publish(r);
    }
  }
}

void Async::tell(const NormShare& share) {
  Bytes head;
  put(head, share.version);
  put(head, share.weight);
  const ByteView pieces[] = {head, share.squares};
  for (std::uint32_t r = 0; r < readers_.size(); ++r) {
    if (r != me_) comm_->send(r, kNorm, pieces);
  }
}

void Async::note_own() {
  std::ranges::copy(owner_.values(), newest_.begin() + static_cast<std::ptrdiff_t>(parts_[me_].begin));
  versions_[me_] = owner_.version();
  for (std::uint32_t r = 0; r < seat_.group.size; ++r) applied_[me_][r] = owner_.applied(r);
  changed_.notify_all();
}

// Sends this rank's part, as it is now.
void Async::publish(std::uint32_t rank) {
  Reader& reader = readers_[rank];
  reader.behind = reader.credit == 0;
  if (reader.behind) return;
  --reader.credit;
  Bytes head;
  put(head, owner_.version());
  put_all(head, applied_[me_]);
  const ByteView pieces[] = {head, as_bytes_of(owner_.values())};
  comm_->send(rank, kValues, pieces);
}

void Async::serve() {
  flush_denormals();
  try {
    for (;;) {
      const std::optional<comm::Message> message = comm_->take(true);
      if (message->tag == kStop && message->from == me_) return;
      hear(*message);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

void Async::hear(const comm::Message& message) {
  ByteReader in(message.payload, fmt::format("a message of rank {}", message.from));
  const std::uint32_t from = message.from;
  if (message.tag == kGradient) {
    Contribution c;
    c.unit = in.get<std::uint32_t>();
    in.get<std::uint32_t>();
    c.step = in.get<std::uint64_t>();
    c.read = in.get<std::uint64_t>();
    if (c.unit >= units_.size() || units_[c.unit].rank != from) {
      fail(Exit::data, "rank {} sent a gradient of unit {}, which is not its own", from, c.unit);
    }
    c.weights = get_all<double>(in, units_[c.unit].shards.size());
    c.gradient = gradient_in(in, c.step);
    const std::lock_guard lock(mutex_);
    take(std::move(c));
  } else if (message.tag == kNorm) {
    NormShare share;
    share.version = in.get<std::uint64_t>();
    share.weight = in.get<double>();
    const ByteView squares = in.take(in.left());
    share.squares.assign(squares.begin(), squares.end());
    const std::lock_guard lock(mutex_);
    owner_.hear(from, std::move(share));
    advance();
  } else if (message.tag == kValues) {
    const auto version = in.get<std::uint64_t>();
    const std::vector<std::uint64_t> applied = get_all<std::uint64_t>(in, parts_.size());
    const nn::ElementRange part = parts_[from];
    const std::vector<float> values = get_all<float>(in, part.end - part.begin);
    const std::lock_guard lock(mutex_);
    std::ranges::copy(values, newest_.begin() + static_cast<std::ptrdiff_t>(part.begin));
    versions_[from] = version;
    applied_[from] = applied;
    comm_->send(from, kTaken, {});  // before anybody sees the values: after a round nothing is under way
    changed_.notify_all();
  } else if (message.tag == kTaken) {
    const std::lock_guard lock(mutex_);
    ++readers_[from].credit;
    if (readers_[from].behind) publish(from);
  } else if (message.tag == kReached) {
    const auto first = in.get<std::uint64_t>(), begun = in.get<std::uint64_t>();
    const std::lock_guard lock(mutex_);
    if (first != first_) return;  // of a round that came to its end nevertheless
    reached_[from] = begun;
    if (!reached_[me_]) halt();
    changed_.notify_all();
  } else {
    fail(Exit::data, "rank {} sent a message of kind {}, which is none", from, message.tag);
  }
}

// Of this rank's part, as it came.
std::vector<float> Async::gradient_in(ByteReader& in, std::uint64_t step) const {
  if (!codes_) return get_all<float>(in, in.left() / sizeof(float));
  std::vector<float> gradient(parts_[me_].end - parts_[me_].begin);
  codes_->decode(in.take(in.left()), step, me_, gradient);
  return gradient;
}

}  // namespace dl::train
