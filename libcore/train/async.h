// SPDX-License-Identifier: MIT
// Asynchronous training under bounded staleness (Ho et al. 2013, stale synchronous parallel): every rank owns
// one part of the parameters (train/async_part.h). For each step, a rank computes its units' gradients at the
// newest values that it has, sends each part's slice to the part's owner, and goes on; it waits only where it
// would be more than `max_staleness` steps ahead of the slowest.
//
// Two threads: the training thread computes; a second one takes what others send and serves this rank's part,
// so that a rank that computes holds up nobody. What is under way is bounded: gradients by the staleness (where
// any is allowed, by most_under_way() steps of a rank), new values by two for each rank and part (what a
// slow rank does not take is left out; it gets the newest when it comes round), shares of a clipping norm by two
// updates.
//
// With --compress each unit is a group of shards, whose gradient is encoded whole and cut for the owners
// (comm/part_codes.h). What a group holds back is on the rank that has it, and made whole by settle().
//
// A round ends where every rank has all values of its last step, so that nothing is under way then: at the
// trainer's limit, or earlier, where a rank wants it to: it says how far it has begun and stops; whoever hears
// this does the same; the step that the foremost of them has begun is the last one of the round.
#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "linalg/buffer.h"
#include "train/async_plan.h"
#include "train/batch_reader.h"
#include "train/compressed_sums.h"
#include "train/strategy.h"
#include "train/unit_sums.h"

namespace dl::train {

class Async : public Strategy {
 public:
  explicit Async(const Seat& seat);
  ~Async() override;

  RoundTotals round(std::uint64_t limit) override;
  void settle(Whole what) override;
  comm::Communicator& communicator() override { return *comm_; }

 private:
  struct Reader {             // a rank, for the owner of a part
    unsigned credit = 2;      // values that may be under way to it
    bool behind = false;      // it has not been sent the newest
  };

  // Training thread.
  std::optional<std::uint64_t> next_turn(std::uint64_t& end, std::uint32_t& bits, std::int64_t begun_ns);
  void compute(std::uint64_t step);
  [[noreturn]] void refuse_gradient(std::uint64_t step);
  void push(std::uint64_t step);
  bool encode(std::uint64_t step, std::size_t i, std::vector<Bytes>& codes);
  RoundTotals close(std::uint64_t first, std::uint64_t last, std::uint32_t bits);

  // Under the lock.
  bool may_begin(std::uint64_t step) const;
  bool all_at(std::uint64_t version) const;
  std::optional<std::uint64_t> agreed_end() const;
  void halt();
  void take(Contribution contribution);
  void advance();
  void tell(const NormShare& share);
  void publish(std::uint32_t rank);
  void note_own();

  // The serving thread.
  void serve();
  void hear(const comm::Message& message);
  std::vector<float> gradient_in(ByteReader& in, std::uint64_t step) const;

  const Seat seat_;
  const std::uint32_t me_;
  const std::vector<Unit> units_;
  std::vector<std::uint32_t> mine_;             // of units_
  const std::vector<std::uint32_t> unit_sizes_;  // shards of each of them
  std::vector<nn::ElementRange> parts_;
  BatchReader reader_;
  const UpdateRule rule_;
  const UnitTree tree_;
  const std::optional<comm::PartCodes> codes_;  // with --compress, as feedback_
  std::optional<FeedbackVectors> feedback_;     // of the units in mine_; the training thread's
  std::uint64_t most_steps_;                    // of a round
  const std::uint64_t most_under_way_;
  std::vector<linalg::Buffer> gradients_;       // of the units in mine_
  std::vector<float*> partials_;
  std::vector<double> losses_;                  // of a step, by shard
  std::vector<std::uint64_t> read_;             // version of each part that the model holds
  std::vector<UnitSums> sums_;                  // of the round, by step and unit in mine_
  double round_seconds_;                        // about so long the round may be
  double busy_ = 0;                             // seconds of the round
  std::vector<double> busy_of_ranks_;           // of the round before
  std::unique_ptr<comm::Communicator> comm_;

  std::mutex mutex_;
  std::condition_variable changed_;
  PartOwner owner_;
  std::vector<float> newest_;                   // values, all parts
  std::vector<std::uint64_t> versions_;         // of newest_, by part
  std::vector<std::vector<std::uint64_t>> applied_;  // by part and rank: steps of the run
  std::vector<Reader> readers_;
  std::uint64_t first_, next_;                  // the round's first step; the next one that this rank begins
  std::vector<std::optional<std::uint64_t>> reached_;  // by rank: steps that it had begun when it stopped
  std::vector<std::uint64_t> reads_;            // of the round: read_ of each step
  std::vector<std::uint32_t> arrivals_;         // of the round: units, at this rank's part
  std::exception_ptr failure_;                  // of the serving thread
  std::thread server_;                          // none in a group of one
};

}  // namespace dl::train
