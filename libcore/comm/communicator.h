// SPDX-License-Identifier: MIT
// How ranks add spans of floats in the canonical tree (base/tree.h). Knows no model, no shard data,
// no coordinator.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/tree.h"

namespace dl::comm {

// What a group adds in every round; the same on every rank.
struct SumPlan {
  std::uint32_t shards = 0;                              // leaves of the tree
  std::vector<std::vector<ShardRange>> parts_of_rank;    // maximal_subtrees() of each rank's shards
  struct Bucket {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  std::vector<Bucket> buckets;        // disjoint element ranges, in the order they are started
  std::uint32_t record_bytes = 0;     // size of every rank's record
  std::uint64_t message_bytes = 0;    // of the longest Message; 0: there are none
  std::uint32_t ranks() const { return static_cast<std::uint32_t>(parts_of_rank.size()); }
  // Of the full vector: where the last bucket ends.
  std::uint64_t size() const {
    std::uint64_t most = 0;
    for (const Bucket& bucket : buckets) most = std::max(most, bucket.end);
    return most;
  }
};

// The group has changed or a peer is gone: the round cannot end. What result() holds is undefined.
class RoundAborted : public std::runtime_error {
 public:
  explicit RoundAborted(const std::string& reason, std::vector<std::uint32_t> its_unmet = {})
      : std::runtime_error(reason), unmet(std::move(its_unmet)) {}
  std::vector<std::uint32_t> unmet;  // ranks that were not there when the group was to meet
};

// What one rank says to another beside the sums. The tag means what the strategy says.
struct Message {
  std::uint32_t from = 0;
  std::uint64_t tag = 0;
  Bytes payload;
};

// One rank's end of a group, for one generation. Used by one thread (the training thread), but for
// send().
//
// A round is: post() once, start() every bucket in order, wait() for buckets, collect() once. A rank
// may begin its next round when it has waited for everything. Every rank gets the same bits. The
// thread adds too, so it has flushed its denormals (base/workers.h).
//
// The vectors belong to the communicator, which knows where peers can reach them without a copy.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual std::uint32_t rank() const = 0;
  virtual std::uint32_t size() const = 0;

  // How the ranks reach each other, for people: "tcp", "shared memory", ...
  virtual std::string transport() const = 0;

  // Where this rank writes its part i: the full vector, zero at first. Part 0 of a group of one may be
  // result() itself.
  virtual std::span<float> part(std::size_t i) = 0;
  // Where totals appear: the full vector.
  virtual std::span<const float> result() const = 0;

  // Offers this rank's parts of a bucket. That range of them must stay unchanged until wait(b), and
  // that of result() must not be read until then.
  virtual void start(std::size_t bucket) = 0;
  // Returns when result() holds the total of the bucket. Throws RoundAborted.
  virtual void wait(std::size_t bucket) = 0;

  // All-gather of one small record per rank and round, beside the sums.
  virtual void post(ByteView record) = 0;  // exactly record_bytes
  // Everyone's records in rank order, record_bytes each; valid until the next post().
  virtual ByteView collect() = 0;          // throws RoundAborted

  // Blocking all-gather between rounds (scores of test blocks and the like): rank r gives sizes[r]
  // bytes, which all ranks know beforehand; returns everyone's in rank order. Every rank must call it
  // at the same point. Throws RoundAborted. The view is valid until the next call.
  virtual ByteView gather(ByteView mine, std::span<const std::uint32_t> sizes) = 0;

  // Sends a message: the pieces, one after the other, at most message_bytes long. What one rank sends to
  // another arrives in order; what different ranks send, in any. Takes the bytes before it returns and
  // does not wait for the receiver, so a strategy must bound what is under way. A rank may send to itself.
  // Any thread. Throws RoundAborted.
  virtual void send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces) = 0;
  // The message that came first; waits for one, or gives none. One thread at a time, not necessarily the
  // one that adds. Throws RoundAborted, also when it would wait and a peer is gone, in order or not: so
  // ranks end by a gather() what they say to each other.
  virtual std::optional<Message> take(bool wait) = 0;
};

}  // namespace dl::comm
