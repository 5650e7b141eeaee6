// SPDX-License-Identifier: MIT
#include "comm/local.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <numeric>

#include "comm/memory.h"
#include "comm/message_queue.h"
#include "comm/parts.h"
#include "comm/solo.h"

namespace dl::comm {

// The last rank to start a bucket adds it. A round's total is not overwritten while somebody reads it:
// the next one is added when everybody has started again.
struct LocalGroup::State {
  explicit State(SumPlan its_plan)
      : plan(std::move(its_plan)),
        parts(plan),
        sum(plan.shards, parts.ranges()),
        vectors(parts.count() + 1, plan.size()),
        operands(parts.count()),
        started(plan.buckets.size()),
        added(plan.buckets.size()),
        records{Bytes(std::size_t{plan.record_bytes} * plan.ranks()),
                Bytes(std::size_t{plan.record_bytes} * plan.ranks())},
        messages(plan.ranks()) {}

  void check() const {
    if (aborted) throw RoundAborted(reason);
  }

  void abort(const std::string& why) {
    if (aborted) return;
    aborted = true;
    reason = why;
    changed.notify_all();
    for (MessageQueue& queue : messages) queue.abort(why);
  }

  const SumPlan plan;
  const Parts parts;
  const TreeSum sum;
  const Vectors vectors;  // all parts, then the total
  std::vector<const float*> operands;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::uint64_t> started, added;  // by bucket: starts of all ranks; sums
  Bytes records[2];          // by parity of the round
  std::uint64_t posted = 0;  // posts of all ranks
  Bytes gathered[2];         // by parity of the call
  std::uint64_t given = 0;   // gathers of all ranks
  std::vector<MessageQueue> messages;  // by receiver
  bool aborted = false;
  std::string reason;
  std::shared_ptr<Alarm> solo = std::make_shared<Alarm>();
};

namespace {

template <typename State>
class LocalRank : public Communicator {
 public:
  LocalRank(std::shared_ptr<State> state, std::uint32_t rank)
      : state_(std::move(state)), rank_(rank), rounds_(state_->plan.buckets.size()) {}

  // The parts of a round that is not added yet go with their rank: nobody may read them after this.
  ~LocalRank() override {
    const std::lock_guard lock(state_->mutex);
    for (std::size_t bucket = 0; bucket < rounds_.size(); ++bucket) {
      if (state_->added[bucket] >= rounds_[bucket]) continue;
      state_->abort(fmt::format("rank {} left in the middle of a round", rank_));
      return;
    }
  }

  std::uint32_t rank() const override { return rank_; }
  std::uint32_t size() const override { return state_->plan.ranks(); }

  std::string transport() const override { return "threads"; }

  std::span<float> part(std::size_t i) override {
    return state_->vectors[state_->parts.of_rank(rank_)[i]];
  }
  std::span<const float> result() const override { return state_->vectors[state_->parts.count()]; }

  void start(std::size_t bucket) override {
    const SumPlan::Bucket range = state_->plan.buckets.at(bucket);
    const std::lock_guard lock(state_->mutex);
    state_->check();
    ++rounds_[bucket];
    if (++state_->started[bucket] < rounds_[bucket] * size()) return;
    std::vector<const float*>& operands = state_->operands;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      operands[i] = state_->vectors[i].data() + range.begin;
    }
    float* const total = state_->vectors[operands.size()].data();
    state_->sum.add(operands, total + range.begin, range.end - range.begin);
    ++state_->added[bucket];
    state_->changed.notify_all();
  }

  void wait(std::size_t bucket) override {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(
        lock, [&] { return state_->aborted || state_->added[bucket] >= rounds_[bucket]; });
    state_->check();
  }

  void post(ByteView record) override {
    const std::lock_guard lock(state_->mutex);
    Bytes& records = state_->records[++posts_ % 2];
    std::copy(record.begin(), record.end(),
              records.begin() + std::ptrdiff_t{state_->plan.record_bytes} * rank_);
    ++state_->posted;
    state_->changed.notify_all();
  }

  ByteView collect() override {
    std::unique_lock lock(state_->mutex);
    // Nobody posts again before it has collected, so this many posts are one of each.
    state_->changed.wait(lock,
                         [&] { return state_->aborted || state_->posted >= posts_ * size(); });
    state_->check();
    return state_->records[posts_ % 2];
  }

  ByteView gather(ByteView mine, std::span<const std::uint32_t> sizes) override {
    std::unique_lock lock(state_->mutex);
    Bytes& all = state_->gathered[++gathers_ % 2];
    all.resize(std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}));
    std::copy(mine.begin(), mine.end(),
              all.begin() + std::accumulate(sizes.begin(), sizes.begin() + rank_, std::ptrdiff_t{0}));
    ++state_->given;
    state_->changed.notify_all();
    state_->changed.wait(lock,
                         [&] { return state_->aborted || state_->given >= gathers_ * size(); });
    state_->check();
    return all;
  }

  void send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces) override {
    {
      const std::lock_guard lock(state_->mutex);
      state_->check();
    }
    state_->messages.at(to).put(joined(rank_, tag, pieces, state_->plan.message_bytes));
  }

  std::optional<Message> take(bool wait) override { return state_->messages[rank_].take(wait); }

 private:
  std::shared_ptr<State> state_;
  std::uint32_t rank_;
  std::vector<std::uint64_t> rounds_;
  std::uint64_t posts_ = 0, gathers_ = 0;
};

}  // namespace

LocalGroup::LocalGroup(SumPlan plan) : state_(std::make_shared<State>(std::move(plan))) {}
LocalGroup::~LocalGroup() = default;

std::unique_ptr<Communicator> LocalGroup::rank(std::uint32_t rank) {
  if (state_->plan.ranks() == 1) return std::make_unique<Solo>(state_->plan, state_->solo);
  return std::make_unique<LocalRank<State>>(state_, rank);
}

void LocalGroup::abort(const std::string& reason) {
  state_->solo->abort(reason);
  const std::lock_guard lock(state_->mutex);
  state_->abort(reason);
}

}  // namespace dl::comm
