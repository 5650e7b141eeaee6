// SPDX-License-Identifier: MIT
// What the training thread asks for, and the peers as they come and go; tcp_round.cc has the frames.
#include "comm/tcp_group.h"

#include <algorithm>

#include "base/error.h"

namespace dl::comm {

using net::Header;
using net::Type;

TcpRounds::TcpRounds(net::Loop& loop, const MeshGroup& group, const SumPlan& plan,
                     const TcpTuning& tuning)
    : loop_(loop),
      group_(group),
      plan_(plan),
      parts_(plan),
      cut_(cut_of(plan.ranks(), tuning)),
      collectives_(choose(plan, tuning.collective.value_or(Collective::direct), {}, cut_)),
      sum_(plan.shards, parts_.ranges()),
      record_bytes_(plan.record_bytes),
      message_bytes_(plan.message_bytes),
      under_way_most_(2 * cut_.slice_bytes),
      vectors_(own_parts() + 1, plan.size()),
      peers_(plan.ranks()),
      buckets_(plan.buckets.size()),
      operands_(parts_.count()),
      rounds_(plan.buckets.size()),
      done_(plan.buckets.size()) {
  for (Bytes& records : records_) records.resize(std::size_t{record_bytes_} * plan.ranks());
  lay_out();
}

void TcpRounds::lay_out() {
  tags_ = 1;
  flows_.clear();
  flow_plans_.clear();
  std::map<Collective, std::vector<bool>> slots;
  const auto with = [&](Collective collective, Schedule schedule, std::uint32_t tags) {
    slots[collective] = schedule.twice;
    flow_plans_.emplace(collective, FlowPlan(std::move(schedule)));
    tags_ = std::max(tags_, tags);
  };
  if (std::ranges::count(collectives_, Collective::doubling) > 0) {
    with(Collective::doubling, doubling_schedule(plan_.shards, parts_, group_.rank), doubling_tags(parts_));
  }
  if (std::ranges::count(collectives_, Collective::tree) > 0) {
    with(Collective::tree, tree_schedule(plan_.shards, parts_, group_.rank), tree_tags(parts_));
  }
  layout_.emplace(plan_, cut_, collectives_);
  staging_.emplace(*layout_, parts_, group_.rank, slots);
  const std::size_t pieces = layout_->pieces().size();
  for (Peer& peer : peers_) {
    peer.parts.assign(pieces, 0);
    peer.results.assign(pieces, 0);
  }
  added_.assign(pieces, 0);
  flows_over_.assign(pieces, 0);
  outgoing_at_.assign(pieces, 0);
  std::uint64_t outgoing = 0;
  for (std::size_t p = 0; p < pieces; ++p) {
    const Piece& piece = layout_->pieces()[p];
    outgoing_at_[p] = outgoing;
    if (piece.one_round) outgoing += 2 * piece.size() * parts_.count(group_.rank);
    flows_.emplace_back();
    if (!piece.direct()) flows_.back().emplace(flow_plans_.at(piece.collective));
  }
  outgoing_.assign(outgoing, 0);
}

void TcpRounds::adopt(std::span<const Collective> collectives) {
  loop_.call([&] {
    if (over_) return;
    // What has come lies, or is still being read, where the old layout says. Nobody sends a frame of a bucket before
    // it knows that all have chosen.
    for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
      if (!peers_[rank].began) continue;
      abort(fmt::format("{}: a frame of a bucket before the collective is chosen", called(rank)));
      return;
    }
    collectives_.assign(collectives.begin(), collectives.end());
    lay_out();
  });
}

std::span<std::byte> TcpRounds::record_place(std::uint64_t round, std::uint32_t rank) {
  return std::span(records_[round % 2]).subspan(std::size_t{record_bytes_} * rank, record_bytes_);
}

std::string TcpRounds::called(std::uint32_t rank) const {
  return fmt::format("rank {} ({})", rank, net::to_string(group_.members[rank]));
}

// ---- the training thread

void TcpRounds::start(std::size_t bucket) {
  const std::lock_guard lock(mutex_);
  if (aborted_) throw RoundAborted(*aborted_);
  ++rounds_.at(bucket);
  inbox_.push_back(bucket);
  wake();
}

void TcpRounds::post(ByteView record) {
  if (record.size() != record_bytes_) fail(Exit::bug, "a record of {} bytes", record.size());
  ++posts_;
  const std::span<std::byte> place = record_place(posts_, group_.rank);
  std::copy(record.begin(), record.end(), place.begin());
  const std::lock_guard lock(mutex_);
  record_waits_ = true;  // goes with the first bucket; collect() would send it alone
}

void TcpRounds::wait(std::size_t bucket) {
  wait_until([&] { return done_[bucket] >= rounds_[bucket]; });
}

ByteView TcpRounds::collect() {
  {
    const std::lock_guard lock(mutex_);
    if (record_waits_) wake();
  }
  wait_until([&] { return records_done_ >= posts_; });
  return records_[posts_ % 2];
}

ByteView TcpRounds::gather(ByteView mine, std::span<const std::uint32_t> sizes) {
  if (sizes.size() != peers_.size() || mine.size() != sizes[group_.rank]) {
    fail(Exit::bug, "{} bytes to gather from rank {}", mine.size(), group_.rank);
  }
  const std::uint32_t most = net::max_length(Type::gather);
  const std::uint32_t longest = *std::ranges::max_element(sizes);
  if (longest <= most) return gather_frames(mine, sizes);
  // More than a frame takes: one piece of everybody's after the other, as all ranks know.
  std::vector<std::uint64_t> begins = {0};
  for (const std::uint32_t size : sizes) begins.push_back(begins.back() + size);
  long_gathered_.resize(begins.back());
  for (std::uint64_t done = 0; done < longest; done += most) {
    const auto at = [&](std::uint64_t size) { return std::min(size, done); };
    std::vector<std::uint32_t> now;
    for (const std::uint32_t size : sizes) {
      now.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(size - at(size), most)));
    }
    ByteView piece = gather_frames(mine.subspan(at(mine.size()), now[group_.rank]), now);
    for (std::size_t rank = 0; rank < now.size(); ++rank) {
      std::ranges::copy(piece.first(now[rank]), std::span(long_gathered_).subspan(begins[rank] + at(sizes[rank])).begin());
      piece = piece.subspan(now[rank]);
    }
  }
  return long_gathered_;
}

ByteView TcpRounds::gather_frames(ByteView mine, std::span<const std::uint32_t> sizes) {
  {
    const std::lock_guard lock(mutex_);
    own_gather_[++gathers_ % 2].assign(mine.begin(), mine.end());
    gather_sizes_.assign(sizes.begin(), sizes.end());
    gather_waits_ = true;
    wake();
  }
  wait_until([&] { return gathers_done_ >= gathers_; });
  return gathered_;
}

void TcpRounds::send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces) {
  if (to >= peers_.size()) fail(Exit::bug, "a message to rank {} of {}", to, peers_.size());
  Message message = joined(group_.rank, tag, pieces, message_bytes_);
  const std::lock_guard lock(mutex_);
  if (aborted_) throw RoundAborted(*aborted_);
  if (to == group_.rank) {
    messages_.put(std::move(message));
    return;
  }
  outbox_.emplace_back(to, std::move(message));
  wake();
}

std::optional<Message> TcpRounds::take(bool wait) { return messages_.take(wait); }

template <typename Condition>
void TcpRounds::wait_until(Condition met) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return aborted_ || met(); });
  if (aborted_) throw RoundAborted(*aborted_);
}

void TcpRounds::wake() {
  if (woken_) return;
  woken_ = true;
  loop_.post([self = shared_from_this()] { self->take_inbox(); });
}

std::vector<std::uint32_t> TcpRounds::wait_for_peers(net::Milliseconds patience) {
  const std::uint32_t all = plan_.ranks() - 1;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return aborted_ || connected_ == all; });
    if (aborted_) throw RoundAborted(*aborted_);
    if (connected_ == all) return {};
  }
  std::vector<std::uint32_t> missing;
  loop_.call([&] {
    for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
      if (rank != group_.rank && !has(rank)) missing.push_back(rank);
    }
  });
  return missing;
}

bool TcpRounds::all_near() {
  const std::lock_guard lock(mutex_);
  return near_ == plan_.ranks() - 1;
}

std::string TcpRounds::reached_by() {
  const std::lock_guard lock(mutex_);
  const bool all = by_unix_ == plan_.ranks() - 1;
  std::string text = all ? "unix" : by_unix_ > 0 ? "unix and tcp" : "tcp";
  if (!why_not_unix_.empty()) text += fmt::format(", since a Unix socket failed ({})", why_not_unix_);
  return text;
}

void TcpRounds::leave() {
  loop_.call([&] {
    bool pending = over_;
    for (const BucketState& bucket : buckets_) pending = pending || bucket.left > 0;
    over_ = true;
    // In the middle of a round the floats that wait to be sent are no longer ours.
    if (pending) {
      drop_all();
      return;
    }
    for (Peer& peer : peers_) {
      if (!peer.connection) continue;
      // What is still queued lies in our memory (one-round parts, records).
      peer.connection->close([self = shared_from_this()] {});
      peer.connection.reset();
    }
  });
}

// ---- the loop: who is there

void TcpRounds::add_peer(std::uint32_t rank, std::shared_ptr<net::Connection> connection,
                         const Reached& how) {
  if (over_) {
    connection->drop();
    return;
  }
  net::Connection::Events events;
  const std::weak_ptr<TcpRounds> weak = weak_from_this();
  events.place = [weak, rank](const Header& header) {
    const auto self = weak.lock();
    return self ? self->place(rank, header) : std::span<std::byte>();
  };
  events.placed = [weak, rank](const Header& header) {
    if (const auto self = weak.lock()) self->placed(rank, header);
  };
  events.message = [](const Header& header, ByteView) {
    fail(Exit::data, "a {} message within a group", net::name(header.type));
  };
  events.closed = [weak, rank](const std::string& reason) {
    if (const auto self = weak.lock()) self->peer_lost(rank, reason);
  };
  peers_[rank].connection = connection;
  connection->open(std::move(events));
  const std::lock_guard lock(mutex_);
  if (how.near) ++near_;
  if (how.by_unix) ++by_unix_;
  if (how.near && !how.by_unix && why_not_unix_.empty()) {
    why_not_unix_ = fmt::format("rank {}: {}", rank, how.why_not);
  }
  if (++connected_ == plan_.ranks() - 1) changed_.notify_all();
}

void TcpRounds::take_inbox() {
  std::vector<std::size_t> starts;
  std::vector<std::pair<std::uint32_t, Message>> messages;
  bool record = false, gather = false;
  {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    starts.swap(inbox_);
    messages.swap(outbox_);
    record = std::exchange(record_waits_, false);
    gather = std::exchange(gather_waits_, false);
  }
  if (over_) return;
  if (record) send_record();
  for (const std::size_t bucket : starts) {
    if (over_) return;
    begin(bucket);
  }
  if (gather && !over_) send_gather();
  for (auto& [to, message] : messages) {
    if (over_) return;
    send_message(to, std::move(message));
  }
  for (Peer& peer : peers_) {
    if (peer.connection) peer.connection->flush();
  }
}

// A peer that is gone can take part in nothing that begins now. Where that is a flow, it may have had what it needs
// before this rank began, and left.
bool TcpRounds::abort_if_lost(const Flow* flow) {
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    if (peers_[rank].lost.empty() || (flow != nullptr && !flow->needs(rank))) continue;
    abort(first_lost_);
    return true;
  }
  return false;
}

// Whether something of the rounds that we have begun is still to come from this peer, or to go to it.
bool TcpRounds::needs(const Peer& peer, std::uint32_t rank) const {
  if (peer.totals_to_send > 0) return true;
  if (peer.records < record_round_ || peer.gathers < gather_call_) return true;
  for (std::uint32_t p = 0; p < layout_->pieces().size(); ++p) {
    const Piece& piece = layout_->pieces()[p];
    if (!piece.direct()) {
      if (flows_[p]->needs(rank)) return true;
      continue;
    }
    const std::uint64_t round = buckets_[piece.bucket].started;
    const bool adds = piece.one_round || layout_->slice(piece, group_.rank).size() > 0;
    if (adds && peer.parts[p] < round) return true;
    if (!piece.one_round && layout_->slice(piece, rank).size() > 0 && peer.results[p] < round) {
      return true;
    }
  }
  return false;
}

void TcpRounds::peer_lost(std::uint32_t rank, const std::string& reason) {
  if (over_) return;
  Peer& peer = peers_[rank];
  peer.connection.reset();
  peer.lost = reason;
  under_way_ -= std::exchange(peer.under_way, 0);
  bool missing = false;
  {
    const std::lock_guard lock(mutex_);
    missing = connected_ < plan_.ranks() - 1;
  }
  // A peer that has given and got all that this round needs may leave: the round ends without it. Where it died, one
  // that needed it gives up, and then those that need that one: the first that was lost is the culprit.
  const std::string text = fmt::format("{}: {}", called(rank), reason);
  if (first_lost_.empty()) first_lost_ = text;
  if (missing || needs(peer, rank)) abort(first_lost_);
  alarm_->lose(rank, text);
  messages_.lose(text);
}

void TcpRounds::drop_all() {
  queue_.clear();
  for (Peer& peer : peers_) {
    if (!peer.connection) continue;
    peer.connection->drop();
    peer.connection.reset();
  }
}

void TcpRounds::abort(const std::string& reason) {
  if (over_) return;
  over_ = true;
  drop_all();
  alarm_->abort(reason);
  {
    const std::lock_guard lock(mutex_);
    aborted_ = reason;
    changed_.notify_all();
  }
  messages_.abort(reason);
}

}  // namespace dl::comm
