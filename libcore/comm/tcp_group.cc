// SPDX-License-Identifier: MIT
#include "comm/tcp_group.h"

#include <algorithm>

#include "base/error.h"

namespace dl::comm {

using net::Header;
using net::Type;

TcpRounds::TcpRounds(net::Loop& loop, const TcpGroup& group, const SumPlan& plan,
                     std::span<float> result, const TcpTuning& tuning)
    : loop_(loop),
      group_(group),
      parts_(plan),
      layout_(plan, tuning),
      sum_(plan.shards, parts_.ranges()),
      record_bytes_(plan.record_bytes),
      result_(result),
      staging_(layout_, parts_, group.rank),
      peers_(plan.ranks()),
      buckets_(plan.buckets.size()),
      added_(layout_.pieces().size()),
      outgoing_at_(layout_.pieces().size()),
      operands_(parts_.count()),
      rounds_(plan.buckets.size()),
      done_(plan.buckets.size()) {
  for (Peer& peer : peers_) {
    peer.parts.resize(layout_.pieces().size());
    peer.results.resize(layout_.pieces().size());
  }
  std::uint64_t outgoing = 0;
  for (std::size_t p = 0; p < layout_.pieces().size(); ++p) {
    const Piece& piece = layout_.pieces()[p];
    if (piece.end > result.size()) fail(Exit::bug, "the result is shorter than its buckets");
    outgoing_at_[p] = outgoing;
    if (piece.one_round) outgoing += 2 * piece.size() * parts_.count(group_.rank);
  }
  outgoing_.resize(outgoing);
  for (Bytes& records : records_) records.resize(std::size_t{record_bytes_} * plan.ranks());
}

std::uint64_t TcpRounds::frame_number(std::uint64_t round, std::uint32_t piece) const {
  return round * layout_.pieces().size() + piece;
}

std::span<std::byte> TcpRounds::record_place(std::uint64_t round, std::uint32_t rank) {
  return std::span(records_[round % 2]).subspan(std::size_t{record_bytes_} * rank, record_bytes_);
}

std::string TcpRounds::called(std::uint32_t rank) const {
  return fmt::format("rank {} ({})", rank, net::to_string(group_.members[rank]));
}

// ---- the training thread

void TcpRounds::start(std::size_t bucket, std::span<const float* const> partials) {
  const std::lock_guard lock(mutex_);
  if (aborted_) throw RoundAborted(*aborted_);
  ++rounds_.at(bucket);
  Start start;
  if (!spare_.empty()) {
    start = std::move(spare_.back());
    spare_.pop_back();
  }
  start.bucket = bucket;
  start.partials.assign(partials.begin(), partials.end());
  inbox_.push_back(std::move(start));
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
  const std::uint32_t all = layout_.ranks() - 1;
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

// ---- the loop

void TcpRounds::add_peer(std::uint32_t rank, std::shared_ptr<net::Connection> connection) {
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
  if (++connected_ == layout_.ranks() - 1) changed_.notify_all();
}

void TcpRounds::take_inbox() {
  std::vector<Start> starts;
  bool record = false, gather = false;
  {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    starts.swap(inbox_);
    record = std::exchange(record_waits_, false);
    gather = std::exchange(gather_waits_, false);
  }
  if (over_) return;
  if (record) send_record();
  for (const Start& start : starts) {
    if (over_) return;
    begin(start);
  }
  if (gather && !over_) send_gather();
  for (Peer& peer : peers_) {
    if (peer.connection) peer.connection->flush();
  }
  const std::lock_guard lock(mutex_);
  std::move(starts.begin(), starts.end(), std::back_inserter(spare_));
}

// A peer that is gone can take part in nothing that begins now.
bool TcpRounds::abort_if_lost() {
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    if (peers_[rank].lost.empty()) continue;
    abort(fmt::format("{}: {}", called(rank), peers_[rank].lost));
    return true;
  }
  return false;
}

void TcpRounds::send_record() {
  ++record_round_;
  if (abort_if_lost()) return;
  const ByteView own = record_place(record_round_, group_.rank);
  for (Peer& peer : peers_) {
    if (!peer.connection) continue;
    peer.connection->send_bulk(Type::record, group_.generation, record_round_, std::span(&own, 1));
  }
  count_records();
}

void TcpRounds::send_gather() {
  ++gather_call_;
  if (abort_if_lost()) return;
  const ByteView own = own_gather_[gather_call_ % 2];
  for (Peer& peer : peers_) {
    if (!peer.connection) continue;
    peer.connection->send_bulk(Type::gather, group_.generation, gather_call_, std::span(&own, 1));
  }
  end_gather();
}

// When everybody's bytes are here.
void TcpRounds::end_gather() {
  if (over_ || gathers_done_ == gather_call_) return;
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank != group_.rank && peers_[rank].gathers < gather_call_) return;
  }
  Bytes all;
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    const Bytes& bytes = rank == group_.rank ? own_gather_[gather_call_ % 2]
                                             : peers_[rank].gathered[gather_call_ % 2];
    if (bytes.size() != gather_sizes_[rank]) {
      abort(fmt::format("{} gave {} bytes where {} belong", called(rank), bytes.size(),
                        gather_sizes_[rank]));
      return;
    }
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  const std::lock_guard lock(mutex_);
  gathered_.swap(all);
  gathers_done_ = gather_call_;
  changed_.notify_all();
}

void TcpRounds::begin(const Start& start) {
  BucketState& bucket = buckets_[start.bucket];
  ++bucket.started;
  bucket.partials = start.partials;
  bucket.left = 1;  // this call
  const std::uint32_t last = layout_.last_piece(start.bucket);
  // An empty bucket needs nobody.
  if (layout_.first_piece(start.bucket) < last && abort_if_lost()) return;
  for (std::uint32_t p = layout_.first_piece(start.bucket); p < last; ++p) {
    const Piece& piece = layout_.pieces()[p];
    if (piece.one_round) {
      ++bucket.left;
    } else {
      for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
        if (layout_.slice(piece, rank).size() > 0) ++bucket.left;
      }
      if (layout_.slice(piece, group_.rank).size() > 0) {
        for (Peer& peer : peers_) {
          if (!peer.connection) continue;
          ++peer.totals_to_send;
          ++bucket.left;
        }
      }
    }
    send_parts(p);
  }
  for (std::uint32_t p = layout_.first_piece(start.bucket); p < last; ++p) add_if_complete(p);
  one_less(start.bucket);
}

void TcpRounds::send_parts(std::uint32_t p) {
  const Piece& piece = layout_.pieces()[p];
  const BucketState& bucket = buckets_[piece.bucket];
  std::vector<ByteView> pieces;
  if (piece.one_round) {
    // A copy: the training thread may go on before everybody has it.
    const std::uint64_t size = piece.size() * bucket.partials.size();
    float* const copy = outgoing_.data() + outgoing_at_[p] + (bucket.started % 2) * size;
    for (std::size_t i = 0; i < bucket.partials.size(); ++i) {
      std::copy_n(bucket.partials[i] + piece.begin, piece.size(), copy + i * piece.size());
    }
    pieces.push_back(std::as_bytes(std::span(copy, size)));
  }
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    if (!peers_[rank].connection) continue;
    if (!piece.one_round) {
      const Slice slice = layout_.slice(piece, rank);
      if (slice.size() == 0) continue;
      pieces.clear();
      for (const float* partial : bucket.partials) {
        pieces.push_back(std::as_bytes(std::span(partial + slice.begin, slice.size())));
      }
    }
    peers_[rank].connection->send_bulk(Type::part, group_.generation,
                                       frame_number(bucket.started, p), pieces);
  }
}

std::span<std::byte> TcpRounds::place(std::uint32_t from, const Header& header) {
  Peer& peer = peers_[from];
  const auto refuse = [&](std::string_view why) {
    fail(Exit::data, "a {} frame {}", net::name(header.type), why);
  };
  if (header.generation != group_.generation) refuse("of another generation");
  if (header.type == Type::record) {
    if (header.sequence != peer.records + 1 || header.sequence > record_round_ + 1) {
      refuse("out of order");
    }
    return record_place(header.sequence, from);
  }
  if (header.type == Type::gather) {
    if (header.sequence != peer.gathers + 1 || header.sequence > gather_call_ + 1) {
      refuse("out of order");
    }
    Bytes& bytes = peer.gathered[header.sequence % 2];
    bytes.resize(header.length);  // bounded by the type; compared when this rank knows the sizes
    return bytes;
  }
  const std::uint64_t count = layout_.pieces().size();
  if (count == 0) refuse("of no bucket");
  const std::uint64_t round = header.sequence / count;
  const auto p = static_cast<std::uint32_t>(header.sequence % count);
  const Piece& piece = layout_.pieces()[p];
  if (header.type == Type::part) {
    if (round != peer.parts[p] + 1 || round > added_[p] + (piece.one_round ? 2 : 1)) {
      refuse("out of order");
    }
    return std::as_writable_bytes(staging_.at(p, from, round));
  }
  if (piece.one_round || round != peer.results[p] + 1 || round != buckets_[piece.bucket].started) {
    refuse("out of order");
  }
  const Slice slice = layout_.slice(piece, from);
  return std::as_writable_bytes(result_.subspan(slice.begin, slice.size()));
}

void TcpRounds::placed(std::uint32_t from, const Header& header) {
  Peer& peer = peers_[from];
  if (header.type == Type::record) {
    ++peer.records;
    count_records();
    return;
  }
  if (header.type == Type::gather) {
    ++peer.gathers;
    end_gather();
    return;
  }
  const auto p = static_cast<std::uint32_t>(header.sequence % layout_.pieces().size());
  if (header.type == Type::part) {
    ++peer.parts[p];
    add_if_complete(p);
  } else {
    ++peer.results[p];
    one_less(layout_.pieces()[p].bucket);
  }
}

void TcpRounds::add_if_complete(std::uint32_t p) {
  const Piece& piece = layout_.pieces()[p];
  const BucketState& bucket = buckets_[piece.bucket];
  if (over_ || added_[p] == bucket.started) return;
  const Slice slice =
      piece.one_round ? Slice{piece.begin, piece.end} : layout_.slice(piece, group_.rank);
  if (slice.size() == 0) return;
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank != group_.rank && peers_[rank].parts[p] < bucket.started) return;
  }
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    const std::span<const std::uint32_t> numbers = parts_.of_rank(rank);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      operands_[numbers[i]] = rank == group_.rank
                                  ? bucket.partials[i] + slice.begin
                                  : staging_.at(p, rank, bucket.started).data() + i * slice.size();
    }
  }
  float* const out = result_.data() + slice.begin;
  sum_.add(operands_, out, slice.size());
  ++added_[p];
  if (!piece.one_round) {
    const ByteView total = std::as_bytes(std::span(out, slice.size()));
    for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
      if (!peers_[rank].connection) continue;
      peers_[rank].connection->send_bulk(
          Type::result, group_.generation, frame_number(bucket.started, p), std::span(&total, 1),
          [weak = weak_from_this(), rank, b = piece.bucket] {
            const auto self = weak.lock();
            if (!self) return;
            --self->peers_[rank].totals_to_send;
            self->one_less(b);
          });
    }
  }
  one_less(piece.bucket);
}

void TcpRounds::one_less(std::size_t b) {
  if (over_ || --buckets_[b].left > 0) return;
  const std::lock_guard lock(mutex_);
  done_[b] = buckets_[b].started;
  changed_.notify_all();
}

void TcpRounds::count_records() {
  std::uint64_t rounds = record_round_;
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank != group_.rank) rounds = std::min(rounds, peers_[rank].records);
  }
  const std::lock_guard lock(mutex_);
  if (rounds == records_done_) return;
  records_done_ = rounds;
  changed_.notify_all();
}

// Whether something of the rounds that we have begun is still to come from this peer, or to go to it.
bool TcpRounds::needs(const Peer& peer, std::uint32_t rank) const {
  if (peer.totals_to_send > 0) return true;
  if (peer.records < record_round_ || peer.gathers < gather_call_) return true;
  for (std::uint32_t p = 0; p < layout_.pieces().size(); ++p) {
    const Piece& piece = layout_.pieces()[p];
    const std::uint64_t round = buckets_[piece.bucket].started;
    const bool adds = piece.one_round || layout_.slice(piece, group_.rank).size() > 0;
    if (adds && peer.parts[p] < round) return true;
    if (!piece.one_round && layout_.slice(piece, rank).size() > 0 && peer.results[p] < round) {
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
  bool missing = false;
  {
    const std::lock_guard lock(mutex_);
    missing = connected_ < layout_.ranks() - 1;
  }
  // A peer that has given and got all that this round needs may leave: the round ends without it.
  if (missing || needs(peer, rank)) abort(fmt::format("{}: {}", called(rank), reason));
}

void TcpRounds::drop_all() {
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
  const std::lock_guard lock(mutex_);
  aborted_ = reason;
  changed_.notify_all();
}

}  // namespace dl::comm
