// SPDX-License-Identifier: MIT
#include "net/connection.h"

#include <algorithm>
#include <cctype>

#include "base/clock.h"
#include "base/hash.h"
#include "net/stream.h"

namespace dl::net {

namespace {

// As many pieces as one system call takes at a time.
constexpr std::size_t kPieces = 64;
// Bytes read for one connection before the others get their turn.
constexpr std::size_t kTurnBytes = std::size_t{4} << 20;
// Read beyond the end of a bulk payload: the next header, but little of what belongs elsewhere.
constexpr std::size_t kBeyondBytes = 4096;

iovec piece_of(ByteView bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

std::string words(const error_code& error) {
  std::string text = error.message();
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

Connection::Connection(Loop& loop, std::unique_ptr<Stream> stream, std::string peer,
                       std::string local_host)
    : loop_(loop),
      stream_(std::move(stream)),
      peer_(std::move(peer)),
      peer_host_(peer_.substr(0, peer_.rfind(':'))),
      local_host_(std::move(local_host)),
      buffer_(kBufferBytes),
      idle_timer_(loop),
      linger_timer_(loop) {
  if (!peer_host_.empty() && peer_host_.front() == '[') {
    peer_host_ = peer_host_.substr(1, peer_host_.size() - 2);
  }
}

Connection::~Connection() = default;

std::size_t Connection::queued() const { return queued_ + stream_->pending(); }

void Connection::open(Events events) {
  events_ = std::make_shared<Events>(std::move(events));
  if (state_ != State::idle) return;
  state_ = State::open;
  last_read_ns_ = monotonic_ns();
  wait_readable();
}

void Connection::idle_limit(Milliseconds limit) {
  idle_limit_ = limit;
  last_read_ns_ = monotonic_ns();
  idle_timer_.cancel();
  if (limit.count() > 0) watch_idle();
}

void Connection::watch_idle() {
  const Milliseconds silent((monotonic_ns() - last_read_ns_) / 1'000'000);
  if (silent >= idle_limit_) {
    finish(fmt::format("silent for {:.1f} s", static_cast<double>(idle_limit_.count()) * 1e-3));
    return;
  }
  idle_timer_.after(idle_limit_ - silent, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->watch_idle();
  });
}

void Connection::send(Type type, ByteView payload, std::uint32_t generation) {
  Header header;
  header.type = type;
  header.generation = generation;
  header.sequence = next_out_++;
  Outgoing frame;
  frame.owned = encode_frame(header, payload);
  enqueue(std::move(frame));
}

void Connection::send_bulk(Type type, std::uint32_t generation, std::uint64_t sequence,
                           std::span<const ByteView> pieces, std::function<void()> sent) {
  Header header;
  header.type = type;
  header.generation = generation;
  header.sequence = is_bulk(type) ? sequence : next_out_++;
  std::size_t length = 0;
  for (const ByteView piece : pieces) {
    length += piece.size();
    if (checks_payload(type)) header.payload_crc = crc32c(piece, header.payload_crc);
  }
  if (length > max_length(type)) fail(Exit::bug, "a {} frame of {} bytes", name(type), length);
  header.length = static_cast<std::uint32_t>(length);
  const HeaderBytes head = encode_header(header);
  Outgoing frame;
  frame.owned.assign(head.begin(), head.end());
  for (const ByteView piece : pieces) {
    if (!piece.empty()) frame.pieces.push_back(piece);
  }
  frame.sent = std::move(sent);
  enqueue(std::move(frame));
}

void Connection::enqueue(Outgoing frame) {
  if ((state_ != State::open && state_ != State::idle) || failing_) return;
  frame.size = frame.owned.size();
  for (const ByteView piece : frame.pieces) frame.size += piece.size();
  queued_ += frame.size;
  out_.push_back(std::move(frame));
  if (flush_posted_ || write_waits_) return;
  flush_posted_ = true;
  loop_.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->flush_posted_ = false;
      self->flush();
    }
  });
}

void Connection::flush() {
  if (writing_ || write_waits_ || state_ == State::closed) return;
  const auto self = shared_from_this();
  writing_ = true;
  while (write_once()) {
  }
  writing_ = false;
  if (state_ == State::closing && out_.empty()) stream_->end_writing();
}

bool Connection::write_once() {
  if (out_.empty() || state_ == State::closed || failing_) return false;
  std::array<iovec, kPieces> pieces;
  std::size_t count = 0;
  std::size_t skip = front_written_;
  const auto add = [&](ByteView bytes) {
    const std::size_t skipped = std::min(skip, bytes.size());
    skip -= skipped;
    if (skipped < bytes.size() && count < pieces.size()) {
      pieces[count++] = piece_of(bytes.subspan(skipped));
    }
  };
  for (const Outgoing& frame : out_) {
    add(frame.owned);
    for (const ByteView piece : frame.pieces) add(piece);
    if (count == pieces.size()) break;
  }
  error_code error;
  std::size_t written = stream_->write_some(std::span(pieces).first(count), error);
  if (error == asio::error::would_block) {
    write_waits_ = true;
    stream_->when_writable([weak = weak_from_this()](error_code) {
      if (const auto self = weak.lock()) {
        self->write_waits_ = false;
        self->flush();
      }
    });
    return false;
  }
  if (error) {
    fail_soon(words(error));
    return false;
  }
  queued_ -= written;
  written += front_written_;
  while (!out_.empty() && written >= out_.front().size) {
    written -= out_.front().size;
    const std::function<void()> sent = std::move(out_.front().sent);
    out_.pop_front();
    if (sent) sent();
  }
  front_written_ = out_.empty() ? 0 : written;
  return true;
}

void Connection::wait_readable() {
  stream_->when_readable([weak = weak_from_this()](error_code) {
    if (const auto self = weak.lock()) self->read_ready();
  });
}

void Connection::read_ready() {
  const auto self = shared_from_this();
  std::string end;
  try {
    for (std::size_t turn = 0; turn < kTurnBytes && state_ != State::closed;) {
      const std::size_t count = read_once(end);
      if (!end.empty()) {
        finish(end);
        return;
      }
      if (count == 0) break;
      turn += count;
    }
  } catch (const Error& error) {
    finish(error.what());
    return;
  }
  if (state_ != State::closed) wait_readable();
}

// Bytes read and parsed, 0 where there are none now; the reason in `end` where there will be no more.
std::size_t Connection::read_once(std::string& end) {
  if (begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (state_ == State::closing) {  // what it still says goes nowhere
    target_ = {};
    target_filled_ = end_ = 0;
  }
  const std::span<std::byte> rest = target_.subspan(target_filled_);
  const std::size_t beyond = rest.empty() ? buffer_.size() - end_ : kBeyondBytes;
  const std::array<iovec, 2> into = {iovec{rest.data(), rest.size()},
                                     iovec{buffer_.data() + end_, beyond}};
  error_code error;
  const std::size_t skip = rest.empty() ? 1 : 0;
  const std::size_t count = stream_->read_some(std::span(into).subspan(skip), error);
  if (error == asio::error::would_block) return 0;
  if (error) {
    end = words(error);
    return 0;
  }
  if (count == 0) {
    end = in_frame_ || end_ > 0 ? "closed by peer in the middle of a frame" : "closed by peer";
    return 0;
  }
  last_read_ns_ = monotonic_ns();
  if (state_ == State::closing) return count;
  const std::size_t placed = std::min(count, rest.size());
  target_filled_ += placed;
  parse(count - placed);
  return count;
}

void Connection::parse(std::size_t fresh) {
  end_ += fresh;
  while (state_ == State::open) {
    const std::size_t left = end_ - begin_;
    if (!in_frame_) {
      if (left < kHeaderBytes) return;
      begin_ += kHeaderBytes;
      begin_frame(std::span<const std::byte, kHeaderBytes>(
          buffer_.data() + begin_ - kHeaderBytes, kHeaderBytes));
      continue;
    }
    const std::size_t missing = header_.length - target_filled_;
    if (target_filled_ == 0 && !is_bulk(header_.type) && left >= missing) {
      const ByteView payload(buffer_.data() + begin_, missing);
      begin_ += missing;
      end_frame(payload);
      continue;
    }
    if (missing > 0 && target_.empty()) {
      payload_.resize(header_.length);
      target_ = payload_;
    }
    const std::size_t taken = std::min(left, missing);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), taken,
                target_.begin() + static_cast<std::ptrdiff_t>(target_filled_));
    begin_ += taken;
    target_filled_ += taken;
    if (taken < missing) return;
    end_frame(target_);
  }
}

void Connection::begin_frame(std::span<const std::byte, kHeaderBytes> head) {
  try {
    header_ = decode_header(head);
  } catch (const Error& error) {
    if (error.code() == Exit::denied) answer_plainly();
    throw;
  }
  if (most_bytes_ > 0 && header_.length > most_bytes_) {
    fail(Exit::data, "a {} frame of {} bytes, and {} may be at this point", name(header_.type),
         header_.length, most_bytes_);
  }
  const auto events = events_;
  if (is_bulk(header_.type)) {
    if (!events->place) fail(Exit::data, "a {} frame that nobody waits for", name(header_.type));
    const std::span<std::byte> place = events->place(header_);
    if (place.size() != header_.length) {
      fail(Exit::data, "a {} frame of {} bytes where {} belong", name(header_.type), header_.length,
           place.size());
    }
    target_ = place;
  } else if (header_.sequence != next_in_++) {
    fail(Exit::data, "a {} frame out of order", name(header_.type));
  }
  in_frame_ = true;
}

// To a peer that tries TLS: by the first bytes of a frame it knows what we are.
void Connection::answer_plainly() {
  const HeaderBytes words = encode_header({.type = Type::refuse});
  const iovec piece = piece_of(words);
  error_code ignored;
  if (next_out_ == 0) stream_->write_some(std::span(&piece, 1), ignored);
}

void Connection::end_frame(ByteView payload) {
  const auto events = events_;
  const Header header = header_;
  in_frame_ = false;
  target_ = {};
  target_filled_ = 0;
  if (checks_payload(header.type)) check_payload(header, payload);
  if (is_bulk(header.type)) {
    if (events->placed) events->placed(header);
  } else if (events->message) {
    events->message(header, payload);
  }
}

void Connection::close(std::function<void()> done, Milliseconds patience) {
  if (state_ == State::closed || state_ == State::closing) {
    if (done) loop_.post(std::move(done));
    return;
  }
  const bool was_idle = state_ == State::idle;
  state_ = State::closing;
  events_ = std::make_shared<Events>();
  done_ = std::move(done);
  idle_timer_.cancel();
  in_frame_ = false;
  target_ = {};
  target_filled_ = begin_ = end_ = 0;
  // Holds itself until the peer has read everything, or patience ends.
  linger_timer_.after(patience, [self = shared_from_this()] { self->end_quietly(); });
  if (was_idle) wait_readable();
  flush();
}

void Connection::end_quietly() {
  const auto self = shared_from_this();
  state_ = State::closed;
  linger_timer_.cancel();
  stream_->close();
  out_.clear();
  const std::function<void()> done = std::move(done_);
  done_ = nullptr;
  if (done) done();
}

void Connection::drop() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  idle_timer_.cancel();
  linger_timer_.cancel();
  stream_->close();
  out_.clear();
  target_ = {};
  queued_ = target_filled_ = begin_ = end_ = 0;
}

void Connection::abort(const std::string& reason) { fail_soon(reason); }

// Not at once: the caller may be in the middle of sending to everybody. What the peer said before it
// went (a refusal, most of all) is read first.
void Connection::fail_soon(std::string reason) {
  if (state_ == State::closed || failing_) return;
  failing_ = true;
  out_.clear();
  queued_ = front_written_ = 0;
  loop_.post([weak = weak_from_this(), reason = std::move(reason)] {
    const auto self = weak.lock();
    if (!self || self->state_ == State::closed) return;
    if (self->state_ == State::open) self->read_ready();
    self->finish(reason);
  });
}

void Connection::finish(const std::string& reason) {
  if (state_ == State::closed) return;
  if (state_ == State::closing) {
    end_quietly();
    return;
  }
  const auto self = shared_from_this();
  const auto events = events_;
  state_ = State::closed;
  idle_timer_.cancel();
  stream_->close();
  out_.clear();
  queued_ = 0;
  if (events && events->closed) events->closed(reason);
}

}  // namespace dl::net
