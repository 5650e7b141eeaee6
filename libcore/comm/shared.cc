// SPDX-License-Identifier: MIT
#include "comm/shared.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/clock.h"
#include "base/error.h"

namespace dl::comm {

namespace {

constexpr std::uint64_t kLine = 16;  // floats in a cache line
// Floats of a chunk: long against the taking of one, short against a bucket.
constexpr std::uint64_t kShortest = 1024, kLongest = 8192;
// How long a rank that waits looks on; then lets others have its core between two looks, so that ranks
// can outnumber the cores; and then sleeps. Waking it costs the waker a system call, and some time.
constexpr std::int64_t kLookNs = 2'000;
constexpr std::int64_t kYieldNs = 200'000;
// Whose waits usually are longer sleeps at once: looking on would seldom see the end of it, and burns a
// processor that may be rationed, or shared with the ranks that are waited for.
constexpr std::int64_t kLongWaitNs = 2 * kYieldNs;
// Who lends its core to somebody with much to do gets it back late; who sleeps is let in when woken. So
// after a loan of this length the next waits go without.
constexpr std::int64_t kCrowdedNs = 50'000;
constexpr std::uint32_t kSleeps = 200;
constexpr int kLooks = 32;  // between two looks at the clock

void breathe() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

std::uint64_t first_line(const SumPlan::Bucket& range) { return range.begin / kLine * kLine; }

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

std::vector<std::uint64_t> shards_before(const SumPlan& plan) {
  std::vector<std::uint64_t> before = {0};
  for (const std::vector<ShardRange>& parts : plan.parts_of_rank) {
    std::uint64_t shards = 0;
    for (const ShardRange& part : parts) shards += part.size();
    before.push_back(before.back() + shards);
  }
  return before;
}

// As long as an equal slice, or as evenly as it can be cut.
std::uint64_t chunk_length(std::uint64_t size, std::uint64_t ranks) {
  const std::uint64_t slice = divide_up(size, ranks);
  const std::uint64_t even = divide_up(slice, std::max<std::uint64_t>(divide_up(slice, kLongest), 1));
  return divide_up(std::max(even, kShortest), kLine) * kLine;
}

}  // namespace

SharedSums::SharedSums(const SumPlan& plan, std::uint32_t rank, std::shared_ptr<Memory> memory,
                       std::shared_ptr<Alarm> alarm)
    : ranks_(plan.ranks()),
      rank_(rank),
      record_bytes_(plan.record_bytes),
      parts_(plan),
      sum_(plan.shards, parts_.ranges()),
      layout_(plan),
      memory_(std::move(memory)),
      vectors_(memory_->bytes().data() + layout_.vectors(), parts_.count() + 1, plan.size()),
      alarm_(std::move(alarm)),
      shards_before_(shards_before(plan)),
      operands_(parts_.count()) {
  if (memory_->bytes().size() < layout_.bytes()) fail(Exit::bug, "a segment that is too short");
  for (const SumPlan::Bucket& range : plan.buckets) {
    const std::uint64_t size = range.begin == range.end ? 0 : range.end - first_line(range);
    const std::uint64_t length = chunk_length(size, ranks_);
    buckets_.push_back({range, length, divide_up(size, length)});
  }
  alarm_->on_raise([this] { ring_loudly(bell(rank_)); });
}

SharedSums::~SharedSums() {
  alarm_->on_raise({});
  store(layout_.left(rank_), 1);
  ring_all();
}

std::uint64_t& SharedSums::word(std::size_t offset) const {
  return *reinterpret_cast<std::uint64_t*>(memory_->bytes().data() + offset);
}

std::uint64_t SharedSums::load(std::size_t offset) const {
  return std::atomic_ref(word(offset)).load();
}

void SharedSums::store(std::size_t offset, std::uint64_t value) {
  std::atomic_ref(word(offset)).store(value);
}

BellWords& SharedSums::bell(std::uint32_t rank) const {
  return *reinterpret_cast<BellWords*>(memory_->bytes().data() + layout_.bell(rank));
}

void SharedSums::ring_all() const {
  for (std::uint32_t rank = 0; rank < ranks_; ++rank) {
    if (rank != rank_) ring(bell(rank));
  }
}

void SharedSums::start(std::size_t bucket) {
  alarm_->check();
  Bucket& own = buckets_.at(bucket);
  ++own.rounds;
  own.adds = 0;
  own.open = true;
  store(layout_.starts(rank_, bucket), own.rounds);
  ring_all();
}

void SharedSums::wait(std::size_t bucket) {
  until([&] { return done(bucket); }, usual_sum_ns_);
}

void SharedSums::post(ByteView record) {
  if (record.size() != record_bytes_) fail(Exit::bug, "a record of {} bytes", record.size());
  ++posts_;
  std::byte* const all = memory_->bytes().data() + layout_.records(posts_);
  std::copy(record.begin(), record.end(), all + std::size_t{record_bytes_} * rank_);
  store(layout_.posts(rank_), posts_);
  ring_all();
}

ByteView SharedSums::collect() {
  until([&] {
    for (std::uint32_t rank = 0; rank < ranks_; ++rank) {
      if (load(layout_.posts(rank)) < posts_) return false;
    }
    return true;
  }, usual_record_ns_);
  return memory_->bytes().subspan(layout_.records(posts_), std::size_t{record_bytes_} * ranks_);
}

bool SharedSums::done(std::size_t bucket) const {
  const Bucket& own = buckets_[bucket];
  return load(layout_.added(bucket)) >= own.rounds * own.chunks;
}

bool SharedSums::all_started(std::size_t bucket) const {
  for (std::uint32_t rank = 0; rank < ranks_; ++rank) {
    if (load(layout_.starts(rank, bucket)) < buckets_[bucket].rounds) return false;
  }
  return true;
}

// Of a bucket's chunks, those of a slice are [first_chunk(slice), first_chunk(slice + 1)).
std::uint64_t SharedSums::first_chunk(std::size_t bucket, std::uint32_t slice) const {
  const std::uint64_t all = shards_before_.back();
  return all == 0 ? buckets_[bucket].chunks * slice / ranks_
                  : buckets_[bucket].chunks * shards_before_[slice] / all;
}

// A rank that has left in order adds nothing any more.
bool SharedSums::may_take(std::size_t bucket, std::uint32_t slice) const {
  if (slice == rank_ || load(layout_.left(slice)) != 0) return true;
  return buckets_[bucket].adds < 2 * (first_chunk(bucket, rank_ + 1) - first_chunk(bucket, rank_));
}

bool SharedSums::can_work() const {
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const Bucket& own = buckets_[b];
    if (!own.open || !all_started(b)) continue;
    for (std::uint32_t slice = 0; slice < ranks_; ++slice) {
      const std::uint64_t count = first_chunk(b, slice + 1) - first_chunk(b, slice);
      if (load(layout_.taken(b, slice)) < own.rounds * count && may_take(b, slice)) return true;
    }
  }
  return false;
}

// One chunk of whatever is there to be added.
bool SharedSums::work() {
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    if (!buckets_[b].open) continue;
    if (done(b)) {
      buckets_[b].open = false;
      continue;
    }
    std::uint64_t chunk = 0;
    if (!all_started(b) || !take(b, chunk)) continue;
    add(b, chunk);
    return true;
  }
  return false;
}

bool SharedSums::take(std::size_t bucket, std::uint64_t& chunk) {
  const Bucket& own = buckets_[bucket];
  for (std::uint32_t i = 0; i < ranks_; ++i) {
    const std::uint32_t slice = (rank_ + i) % ranks_;
    if (!may_take(bucket, slice)) continue;
    const std::uint64_t first = first_chunk(bucket, slice);
    const std::uint64_t count = first_chunk(bucket, slice + 1) - first;
    const std::uint64_t begin = (own.rounds - 1) * count;
    const std::atomic_ref taken(word(layout_.taken(bucket, slice)));
    std::uint64_t next = taken.load();
    // All chunks of the rounds before are taken; below `begin` only a peer's scribbling leads.
    while (next >= begin && next < begin + count) {
      if (!taken.compare_exchange_weak(next, next + 1)) continue;
      chunk = first + next - begin;
      return true;
    }
  }
  return false;
}

void SharedSums::add(std::size_t bucket, std::uint64_t chunk) {
  Bucket& own = buckets_[bucket];
  ++own.adds;
  const std::uint64_t at = first_line(own.range) + chunk * own.length;
  const std::uint64_t begin = std::max(own.range.begin, at);
  const std::uint64_t end = std::min(own.range.end, at + own.length);
  for (std::size_t i = 0; i < operands_.size(); ++i) operands_[i] = vectors_[i].data() + begin;
  sum_.add(operands_, vectors_[operands_.size()].data() + begin, end - begin);
  const std::uint64_t added = std::atomic_ref(word(layout_.added(bucket))).fetch_add(1) + 1;
  if (added == own.rounds * own.chunks) ring_all();
}

// Whether something of the rounds that this rank has begun is still to come from that one.
bool SharedSums::owes(std::uint32_t rank) const {
  if (load(layout_.posts(rank)) < posts_) return true;
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    if (load(layout_.starts(rank, b)) < buckets_[b].rounds && buckets_[b].chunks > 0) return true;
  }
  return false;
}

void SharedSums::check() const {
  if (alarm_->words() == 0) return;
  alarm_->check();
  for (const Alarm::Lost& lost : alarm_->lost()) {
    if (load(layout_.left(lost.rank)) == 0 || owes(lost.rank)) throw RoundAborted(lost.reason);
  }
}

void SharedSums::until(const std::function<bool()>& met, std::int64_t& usual_ns) {
  alarm_->check();
  std::int64_t begun = 0, idle = 0;  // idle: since there was nothing to add
  while (!met()) {
    if (work()) {
      idle = 0;
      continue;
    }
    const std::uint32_t heard = alarm_->words();
    check();
    const std::int64_t now = monotonic_ns();
    if (begun == 0) begun = now;
    if (idle == 0) idle = now;
    if (now - idle < kLookNs) {
      for (int i = 0; i < kLooks && !met(); ++i) breathe();
    } else if (now - idle < kYieldNs && usual_ns < kLongWaitNs && sleeps_ == 0) {
      std::this_thread::yield();
      if (monotonic_ns() - now > kCrowdedNs) sleeps_ = kSleeps;
    } else {
      if (sleeps_ > 0) --sleeps_;
      sleep_unless(bell(rank_), [&] { return met() || can_work() || alarm_->words() != heard; });
    }
  }
  const std::int64_t waited = begun == 0 ? 0 : monotonic_ns() - begun;
  usual_ns += (waited - usual_ns) / 8;
}

}  // namespace dl::comm
