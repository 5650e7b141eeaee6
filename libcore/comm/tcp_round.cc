// SPDX-License-Identifier: MIT
// One round on the loop: which frames go out, where those that come in belong, and when it is done.
#include <algorithm>

#include "base/error.h"
#include "comm/tcp_group.h"

namespace dl::comm {

using net::Header;
using net::Type;

std::uint64_t TcpRounds::frame_number(std::uint64_t round, std::uint32_t piece, std::uint32_t tag) const {
  return (round * layout_->pieces().size() + piece) * tags_ + tag;
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

void TcpRounds::send_message(std::uint32_t to, Message message) {
  const std::string& lost = peers_[to].lost;
  if (!lost.empty()) {
    abort(fmt::format("{}: {}", called(to), lost));
    return;
  }
  const auto kept = std::make_shared<const Bytes>(std::move(message.payload));
  const ByteView all = *kept;
  peers_[to].connection->send_bulk(Type::message, group_.generation, message.tag, std::span(&all, 1),
                                   [kept] {});
}

void TcpRounds::begin(std::size_t b) {
  BucketState& bucket = buckets_[b];
  ++bucket.started;
  bucket.left = 1;  // this call
  const std::uint32_t last = layout_->last_piece(b);
  // An empty bucket needs nobody, a direct one everybody, any other those that its schedule names.
  if (layout_->first_piece(b) < last && collectives_[b] == Collective::direct && abort_if_lost()) return;
  for (std::uint32_t p = layout_->first_piece(b); p < last; ++p) {
    const Piece& piece = layout_->pieces()[p];
    if (!piece.direct()) {
      ++bucket.left;
      flows_[p]->begin();
      if (abort_if_lost(&*flows_[p])) return;
      advance(p);
      continue;
    }
    if (piece.one_round) {
      ++bucket.left;
    } else {
      for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
        if (layout_->slice(piece, rank).size() > 0) ++bucket.left;
      }
      if (layout_->slice(piece, group_.rank).size() > 0) {
        for (Peer& peer : peers_) {
          if (!peer.connection) continue;
          ++peer.totals_to_send;
          ++bucket.left;
        }
      }
    }
    send_parts(p);
  }
  for (std::uint32_t p = layout_->first_piece(b); p < last; ++p) {
    if (layout_->pieces()[p].direct()) add_if_complete(p);
  }
  one_less(b);
}

void TcpRounds::send_parts(std::uint32_t p) {
  const Piece& piece = layout_->pieces()[p];
  const BucketState& bucket = buckets_[piece.bucket];
  std::vector<ByteView> pieces;
  if (piece.one_round) {
    // A copy: the training thread may go on before everybody has it.
    const std::uint64_t size = piece.size() * own_parts();
    float* const copy = outgoing_.data() + outgoing_at_[p] + (bucket.started % 2) * size;
    for (std::size_t i = 0; i < own_parts(); ++i) {
      std::copy_n(vectors_[i].data() + piece.begin, piece.size(), copy + i * piece.size());
    }
    pieces.push_back(std::as_bytes(std::span(copy, size)));
  }
  const std::uint64_t number = frame_number(bucket.started, p);
  for (std::uint32_t step = 1; step < peers_.size(); ++step) {
    const std::uint32_t rank = after(step);
    if (!peers_[rank].connection) continue;
    if (piece.one_round) {
      peers_[rank].connection->send_bulk(Type::part, group_.generation, number, pieces);
      continue;
    }
    const Slice slice = layout_->slice(piece, rank);
    if (slice.size() == 0) continue;
    Outgoing frame{rank, Type::part, number, {}, 0, {}};
    for (std::size_t i = 0; i < own_parts(); ++i) {
      frame.pieces.push_back(std::as_bytes(vectors_[i].subspan(slice.begin, slice.size())));
      frame.bytes += frame.pieces.back().size();
    }
    queue(std::move(frame));
  }
}

void TcpRounds::queue(Outgoing frame) {
  queue_.push_back(std::move(frame));
  send_queued();
}

// In the order in which they were queued, and little at a time: so a rank sends to one peer after the
// other, each to another one, and nobody's link is shared by many while others are idle.
void TcpRounds::send_queued() {
  while (!queue_.empty() && under_way_ <= under_way_most_) {
    Outgoing frame = std::move(queue_.front());
    queue_.pop_front();
    Peer& peer = peers_[frame.to];
    if (!peer.connection) continue;
    under_way_ += frame.bytes;
    peer.under_way += frame.bytes;
    peer.connection->send_bulk(
        frame.type, group_.generation, frame.number, frame.pieces,
        [weak = weak_from_this(), to = frame.to, bytes = frame.bytes, sent = std::move(frame.sent)] {
          const auto self = weak.lock();
          if (!self || self->over_) return;
          self->under_way_ -= bytes;
          self->peers_[to].under_way -= bytes;
          if (sent) sent();
          self->send_queued();
        });
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
  if (header.type == Type::message) {
    if (header.length > message_bytes_) {
      refuse(fmt::format("of {} bytes, where {} are the most", header.length, message_bytes_));
    }
    peer.coming = {from, header.sequence, Bytes(header.length)};
    return peer.coming.payload;
  }
  const std::uint64_t count = layout_->pieces().size();
  if (count == 0) refuse("of no bucket");
  peer.began = true;
  const auto tag = static_cast<std::uint32_t>(header.sequence % tags_);
  const std::uint64_t round = header.sequence / tags_ / count;
  const auto p = static_cast<std::uint32_t>(header.sequence / tags_ % count);
  const Piece& piece = layout_->pieces()[p];
  if (!piece.direct()) {
    const auto receive = header.type == Type::part ? flows_[p]->expects(from, tag, round) : std::nullopt;
    if (!receive) refuse("out of order");
    const std::uint32_t value = flow_plans_.at(piece.collective).schedule().receives[*receive].value;
    return std::as_writable_bytes(place_of(p, value, round));
  }
  if (tag != 0) refuse("out of order");
  if (header.type == Type::part) {
    const bool adds = piece.one_round || layout_->slice(piece, group_.rank).size() > 0;
    if (!adds || round != peer.parts[p] + 1 || round > added_[p] + (piece.one_round ? 2 : 1)) {
      refuse("out of order");
    }
    return std::as_writable_bytes(staging_->at(p, from, round));
  }
  // An empty slice has no total: nothing waits for it, so that one would end the bucket too early.
  const Slice slice = layout_->slice(piece, from);
  if (piece.one_round || slice.size() == 0 || round != peer.results[p] + 1 ||
      round != buckets_[piece.bucket].started) {
    refuse("out of order");
  }
  return std::as_writable_bytes(result().subspan(slice.begin, slice.size()));
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
  if (header.type == Type::message) {
    messages_.put(std::move(peer.coming));
    return;
  }
  const std::uint64_t count = layout_->pieces().size();
  const auto p = static_cast<std::uint32_t>(header.sequence / tags_ % count);
  if (!layout_->pieces()[p].direct()) {
    const auto tag = static_cast<std::uint32_t>(header.sequence % tags_);
    flows_[p]->arrived(flows_[p]->expects(from, tag, header.sequence / tags_ / count).value());
    advance(p);
    return;
  }
  if (header.type == Type::part) {
    ++peer.parts[p];
    add_if_complete(p);
  } else {
    ++peer.results[p];
    one_less(layout_->pieces()[p].bucket);
  }
}

void TcpRounds::add_if_complete(std::uint32_t p) {
  const Piece& piece = layout_->pieces()[p];
  const BucketState& bucket = buckets_[piece.bucket];
  if (over_ || added_[p] == bucket.started) return;
  const Slice slice =
      piece.one_round ? Slice{piece.begin, piece.end} : layout_->slice(piece, group_.rank);
  if (slice.size() == 0) return;
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank != group_.rank && peers_[rank].parts[p] < bucket.started) return;
  }
  for (std::uint32_t rank = 0; rank < peers_.size(); ++rank) {
    const std::span<const std::uint32_t> numbers = parts_.of_rank(rank);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      operands_[numbers[i]] = rank == group_.rank
                                  ? vectors_[i].data() + slice.begin
                                  : staging_->at(p, rank, bucket.started).data() + i * slice.size();
    }
  }
  float* const out = result().data() + slice.begin;
  sum_.add(operands_, out, slice.size());
  ++added_[p];
  if (!piece.one_round) {
    const ByteView total = std::as_bytes(std::span(out, slice.size()));
    for (std::uint32_t step = 1; step < peers_.size(); ++step) {
      const std::uint32_t rank = after(step);
      if (!peers_[rank].connection) continue;
      queue({.to = rank,
             .type = Type::result,
             .number = frame_number(bucket.started, p),
             .pieces = {total},
             .bytes = total.size(),
             .sent = [this, rank, b = piece.bucket] {
               --peers_[rank].totals_to_send;
               one_less(b);
             }});
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

}  // namespace dl::comm
