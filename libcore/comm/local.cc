// SPDX-License-Identifier: MIT
#include "comm/local.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "comm/parts.h"
#include "comm/solo.h"

namespace dl::comm {

// The last rank to start a bucket adds it; all copy the total. A round's total is not overwritten
// before everybody has copied it: the next one is added when everybody has started again.
struct LocalGroup::State {
  explicit State(SumPlan its_plan)
      : plan(std::move(its_plan)),
        parts(plan),
        sum(plan.shards, parts.ranges()),
        pointers(plan.buckets.size(), std::vector<const float*>(parts.count())),
        started(plan.buckets.size()),
        added(plan.buckets.size()),
        records{Bytes(std::size_t{plan.record_bytes} * plan.ranks()),
                Bytes(std::size_t{plan.record_bytes} * plan.ranks())} {
    for (const SumPlan::Bucket& bucket : plan.buckets) size = std::max(size, bucket.end);
    total.resize(size);
  }

  void check() const {
    if (aborted) throw RoundAborted(reason);
  }

  void abort(const std::string& why) {
    if (aborted) return;
    aborted = true;
    reason = why;
    changed.notify_all();
  }

  const SumPlan plan;
  const Parts parts;
  const TreeSum sum;
  std::uint64_t size = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::vector<const float*>> pointers;  // by bucket and part
  std::vector<std::uint64_t> started, added;        // by bucket: starts of all ranks; sums
  std::vector<float> total;
  Bytes records[2];          // by parity of the round
  std::uint64_t posted = 0;  // posts of all ranks
  Bytes gathered[2];         // by parity of the call
  std::uint64_t given = 0;   // gathers of all ranks
  bool aborted = false;
  std::string reason;
  std::shared_ptr<AbortFlag> solo = std::make_shared<AbortFlag>();
};

namespace {

template <typename State>
class LocalRank : public Communicator {
 public:
  LocalRank(std::shared_ptr<State> state, std::uint32_t rank, std::span<float> result)
      : state_(std::move(state)), rank_(rank), result_(result), rounds_(state_->plan.buckets.size()) {
    if (result.size() < state_->size) fail(Exit::bug, "the result is shorter than its buckets");
  }

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

  void start(std::size_t bucket, std::span<const float* const> partials) override {
    const SumPlan::Bucket range = state_->plan.buckets.at(bucket);
    const std::lock_guard lock(state_->mutex);
    state_->check();
    ++rounds_[bucket];
    std::vector<const float*>& all = state_->pointers[bucket];
    const std::span<const std::uint32_t> own = state_->parts.of_rank(rank_);
    for (std::size_t i = 0; i < own.size(); ++i) all[own[i]] = partials[i] + range.begin;
    if (++state_->started[bucket] < rounds_[bucket] * size()) return;
    state_->sum.add(all, state_->total.data() + range.begin, range.end - range.begin);
    ++state_->added[bucket];
    state_->changed.notify_all();
  }

  void wait(std::size_t bucket) override {
    const SumPlan::Bucket range = state_->plan.buckets.at(bucket);
    {
      std::unique_lock lock(state_->mutex);
      state_->changed.wait(
          lock, [&] { return state_->aborted || state_->added[bucket] >= rounds_[bucket]; });
      state_->check();
    }
    std::copy(state_->total.begin() + static_cast<std::ptrdiff_t>(range.begin),
              state_->total.begin() + static_cast<std::ptrdiff_t>(range.end),
              result_.begin() + static_cast<std::ptrdiff_t>(range.begin));
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

 private:
  std::shared_ptr<State> state_;
  std::uint32_t rank_;
  std::span<float> result_;
  std::vector<std::uint64_t> rounds_;
  std::uint64_t posts_ = 0, gathers_ = 0;
};

}  // namespace

LocalGroup::LocalGroup(SumPlan plan) : state_(std::make_shared<State>(std::move(plan))) {}
LocalGroup::~LocalGroup() = default;

std::unique_ptr<Communicator> LocalGroup::rank(std::uint32_t rank, std::span<float> result) {
  if (state_->plan.ranks() == 1) return std::make_unique<Solo>(state_->plan, result, state_->solo);
  return std::make_unique<LocalRank<State>>(state_, rank, result);
}

void LocalGroup::abort(const std::string& reason) {
  state_->solo->set(reason);
  const std::lock_guard lock(state_->mutex);
  state_->abort(reason);
}

}  // namespace dl::comm
