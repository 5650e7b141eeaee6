// SPDX-License-Identifier: MIT
// Sums of ranks that see the same memory: processes of one host.
//
// How a sum is made. All parts lie in the shared memory, and so does the result, one for all. Buckets
// are cut into chunks, and these dealt to the ranks in slices, by the shards that each has. Once every
// rank has started a bucket, whoever has nothing better to do (it waits) takes the next chunk and adds it
// from everybody's parts in the order of the tree: of its own slice first, which its core's cache
// remembers, then of others, so a rank that is late adds less. But nobody adds more than twice its
// slice: a rank that got few shards is slow, or rationed, and its processor time is dear even while it
// waits. A bucket is done when its chunks are added. Nothing is copied, and no thread but those that
// train takes part.
//
// Why nobody reads what is being written. A part is read when its rank has started the bucket and until
// all chunks are added, which the rank waits for. The result is written when all ranks have started, and
// who has started again does not read it any more. A record's place is used again two rounds later,
// when everybody has posted, and so let go of what it collected, in between.
//
// What a peer can do. Counters are compared with what this rank counted itself, and places follow from
// the plan, so whatever is written to the memory spoils sums at worst. A peer that has stopped in the
// middle of a chunk holds the round up, until the coordinator ends it; awake again it writes into a
// memory that nobody looks at any more, since every generation has its own.
#pragma once

#include <functional>
#include <memory>

#include "comm/alarm.h"
#include "comm/bell.h"
#include "comm/communicator.h"
#include "comm/memory.h"
#include "comm/parts.h"
#include "comm/shared_layout.h"
#include "comm/tree_sum.h"

namespace dl::comm {

// One rank's end: a Communicator but for gather(). Used by the training thread; the alarm is raised by
// the loop when the group is over (abort) or a peer's connection breaks (lose).
//
// A peer that has been destroyed in order leaves what it gave behind; the others end what they can end
// with it. One that is lost otherwise ends the round for whoever still waits.
class SharedSums {
 public:
  // `memory`: zero when the first rank comes; at least SharedLayout(plan).bytes() long.
  SharedSums(const SumPlan& plan, std::uint32_t rank, std::shared_ptr<Memory> memory,
             std::shared_ptr<Alarm> alarm);
  ~SharedSums();
  SharedSums(const SharedSums&) = delete;
  SharedSums& operator=(const SharedSums&) = delete;

  std::span<float> part(std::size_t i) const { return vectors_[parts_.of_rank(rank_)[i]]; }
  std::span<const float> result() const { return vectors_[parts_.count()]; }
  void start(std::size_t bucket);
  void wait(std::size_t bucket);
  void post(ByteView record);
  ByteView collect();

 private:
  struct Bucket {
    SumPlan::Bucket range;
    std::uint64_t length = 0;  // of a chunk; whole lines
    std::uint64_t chunks = 0;
    std::uint64_t rounds = 0;  // started by this rank
    std::uint64_t adds = 0;    // chunks of this round that this rank has added
    bool open = false;         // started, and not known to be added
  };

  std::uint64_t& word(std::size_t offset) const;
  std::uint64_t load(std::size_t offset) const;
  void store(std::size_t offset, std::uint64_t value);
  BellWords& bell(std::uint32_t rank) const;
  void ring_all() const;
  bool done(std::size_t bucket) const;
  std::uint64_t first_chunk(std::size_t bucket, std::uint32_t slice) const;
  bool may_take(std::size_t bucket, std::uint32_t slice) const;
  bool all_started(std::size_t bucket) const;
  bool can_work() const;
  bool work();
  bool take(std::size_t bucket, std::uint64_t& chunk);
  void add(std::size_t bucket, std::uint64_t chunk);
  void check() const;
  bool owes(std::uint32_t rank) const;
  // `usual_ns`: how long waits of this kind take, smoothed.
  void until(const std::function<bool()>& met, std::int64_t& usual_ns);

  const std::uint32_t ranks_, rank_, record_bytes_;
  const Parts parts_;
  const TreeSum sum_;
  const SharedLayout layout_;
  const std::shared_ptr<Memory> memory_;
  const Vectors vectors_;
  const std::shared_ptr<Alarm> alarm_;
  const std::vector<std::uint64_t> shards_before_;  // those of lower ranks; at last, all
  std::vector<Bucket> buckets_;
  std::vector<const float*> operands_;
  std::uint64_t posts_ = 0;
  std::int64_t usual_record_ns_ = 0, usual_sum_ns_ = 0;
  std::uint32_t sleeps_ = 0;  // that come before it lends its core again
};

}  // namespace dl::comm
