// SPDX-License-Identifier: MIT
// Ranks as threads, and what their sums must be.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "base/workers.h"
#include "comm/local.h"
#include "comm/mesh.h"
#include "comm/shared.h"
#include "net/loop.h"

namespace dl::test {

// Shards dealt to ranks, and buckets. The contributions are a function of round, shard and element.
struct Problem {
  std::uint32_t shards = 8;
  std::vector<std::vector<std::uint32_t>> held;  // by rank, ascending
  std::vector<std::pair<std::uint64_t, std::uint64_t>> buckets;
  std::uint32_t record_bytes = 8;

  std::uint32_t ranks() const { return static_cast<std::uint32_t>(held.size()); }
  std::uint64_t size() const {
    std::uint64_t most = 0;
    for (const auto& [begin, end] : buckets) most = std::max(most, end);
    return most;
  }

  comm::SumPlan plan() const {
    comm::SumPlan plan;
    plan.shards = shards;
    plan.record_bytes = record_bytes;
    for (const auto& own : held) plan.parts_of_rank.push_back(maximal_subtrees(shards, own));
    for (const auto& [begin, end] : buckets) plan.buckets.push_back({begin, end});
    return plan;
  }

  // Of widely different sizes, so that another order of adding gives other bits.
  static float leaf(std::uint32_t round, std::uint32_t shard, std::uint64_t element) {
    std::uint64_t x = (std::uint64_t{round} << 48) ^ (std::uint64_t{shard} << 40) ^ element;
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    x ^= x >> 31;
    const auto mantissa = static_cast<float>(static_cast<std::int32_t>(x));
    return std::ldexp(mantissa, -31 - static_cast<int>((x >> 40) % 12));
  }

  static float sum(std::uint32_t round, ShardRange range, std::uint64_t element) {
    if (range.size() == 1) return leaf(round, range.begin, element);
    const std::uint32_t middle = tree_split(range);
    return sum(round, {range.begin, middle}, element) + sum(round, {middle, range.end}, element);
  }

  std::vector<float> total(std::uint32_t round) const {
    std::vector<float> out(size());
    for (std::uint64_t i = 0; i < out.size(); ++i) out[i] = sum(round, {0, shards}, i);
    return out;
  }

  std::vector<std::vector<float>> parts(std::uint32_t round, std::uint32_t rank) const {
    std::vector<std::vector<float>> out;
    for (const ShardRange range : maximal_subtrees(shards, held[rank])) {
      std::vector<float>& part = out.emplace_back(size());
      for (std::uint64_t i = 0; i < part.size(); ++i) part[i] = sum(round, range, i);
    }
    return out;
  }
};

inline Problem dealt(std::uint32_t shards, std::uint32_t ranks, std::uint64_t seed) {
  Problem problem;
  problem.shards = shards;
  problem.held.resize(ranks);
  Rng rng(seed, Purpose::test, shards, ranks);
  for (std::uint32_t s = 0; s < shards; ++s) problem.held[rng.below(ranks)].push_back(s);
  return problem;
}

// A record that tells round and rank.
inline Bytes record_of(std::uint32_t bytes, std::uint32_t round, std::uint32_t rank) {
  Bytes out(bytes);
  for (std::uint32_t i = 0; i < bytes; ++i) {
    out[i] = static_cast<std::byte>(round * 31 + rank * 7 + i);
  }
  return out;
}

// The ways in which a mesh carries sums, and what it calls them.
struct Way {
  comm::Transport transport;
  std::string name;
};
inline const std::vector<Way> kWays = {{comm::Transport::tcp, "tcp"},
                                       {comm::Transport::automatic, "shared memory and unix"}};

// Loops and meshes of so many nodes, over loopback.
struct Nodes {
  explicit Nodes(std::uint32_t count, comm::Transport transport = comm::Transport::tcp,
                 const net::Guard& guard = {}, const std::string& listen = "127.0.0.1") {
    for (std::uint32_t i = 0; i < count; ++i) add(transport, guard, {}, listen);
  }
  // A node for each letter, which names the host that it is on.
  static Nodes on_hosts(const std::string& hosts, const net::Guard& guard = {}) {
    Nodes nodes(0);
    for (const char host : hosts) nodes.add(comm::Transport::automatic, guard, std::string(1, host));
    return nodes;
  }
  void add(comm::Transport transport, const net::Guard& guard = {}, const std::string& place = {},
           const std::string& listen = "127.0.0.1") {
    loops.push_back(std::make_unique<net::Loop>());
    loops.back()->start();
    meshes.push_back(std::make_unique<comm::Mesh>(*loops.back(), net::Address{listen, 0},
                                                  transport, guard, place));
  }
  Nodes(Nodes&&) = default;
  ~Nodes() { meshes.clear(); }

  comm::MeshGroup group(std::uint32_t rank, std::uint32_t generation = 1) const {
    comm::MeshGroup group{"run", generation, rank, {}};
    for (const auto& mesh : meshes) group.members.push_back({"127.0.0.1", mesh->port()});
    return group;
  }

  std::vector<std::unique_ptr<net::Loop>> loops;
  std::vector<std::unique_ptr<comm::Mesh>> meshes;
};

// Ranks that see one mapping, as a checker of races between threads has to see them.
class OneMapping {
 public:
  explicit OneMapping(comm::SumPlan plan)
      : plan_(std::move(plan)),
        memory_(std::make_shared<comm::Memory>(comm::SharedLayout(plan_).bytes())) {
    for (std::uint32_t rank = 0; rank < plan_.ranks(); ++rank) {
      alarms.push_back(std::make_shared<comm::Alarm>());
    }
  }
  std::unique_ptr<comm::Communicator> rank(std::uint32_t rank) {
    return std::make_unique<End>(plan_, rank, memory_, alarms[rank]);
  }

  std::vector<std::shared_ptr<comm::Alarm>> alarms;  // by rank

 private:
  class End : public comm::Communicator {
   public:
    End(const comm::SumPlan& plan, std::uint32_t rank, std::shared_ptr<comm::Memory> memory,
        std::shared_ptr<comm::Alarm> alarm)
        : rank_(rank), size_(plan.ranks()), sums_(plan, rank, std::move(memory), std::move(alarm)) {}
    std::uint32_t rank() const override { return rank_; }
    std::uint32_t size() const override { return size_; }
    std::string transport() const override { return "one mapping"; }
    std::span<float> part(std::size_t i) override { return sums_.part(i); }
    std::span<const float> result() const override { return sums_.result(); }
    void start(std::size_t bucket) override { sums_.start(bucket); }
    void wait(std::size_t bucket) override { sums_.wait(bucket); }
    void post(ByteView record) override { sums_.post(record); }
    ByteView collect() override { return sums_.collect(); }
    ByteView gather(ByteView, std::span<const std::uint32_t>) override {
      throw std::logic_error("gather goes over connections");
    }
    void send(std::uint32_t, std::uint64_t, std::span<const ByteView>) override {
      throw std::logic_error("messages go over connections");
    }
    std::optional<comm::Message> take(bool) override { throw std::logic_error("messages go over connections"); }

   private:
    std::uint32_t rank_, size_;
    comm::SharedSums sums_;
  };

  comm::SumPlan plan_;
  std::shared_ptr<comm::Memory> memory_;
};

// This rank's contributions of a round, where its end wants them.
inline void contribute(comm::Communicator& end, const Problem& problem, std::uint32_t round) {
  const auto parts = problem.parts(round, end.rank());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::copy(parts[i].begin(), parts[i].end(), end.part(i).begin());
  }
}

// How long ranks may take that must meet an end soon, on a machine that is busy with other things too.
inline constexpr std::chrono::seconds kPatience{40};

// One thread per rank; what each threw, or "". Where some of them do not end, the test fails with their
// numbers, and the process ends with it: a thread that waits for ever cannot be taken back.
inline std::vector<std::string> as_threads(std::uint32_t ranks,
                                           const std::function<void(std::uint32_t)>& work) {
  std::vector<std::string> thrown(ranks);
  std::vector<bool> ended(ranks);
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::thread> threads;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        work(rank);
      } catch (const std::exception& e) {
        thrown[rank] = e.what();
      }
      const std::lock_guard lock(mutex);
      ended[rank] = true;
      changed.notify_one();
    });
  }
  {
    std::unique_lock lock(mutex);
    const auto all = [&] { return std::ranges::count(ended, true) == ranks; };
    if (!changed.wait_for(lock, kPatience, all)) {
      std::string stand;
      for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        if (!ended[rank]) stand += " " + std::to_string(rank);
      }
      ADD_FAIL_CHECK_AT(__FILE__, __LINE__, "still waiting after " << kPatience.count() << " s: rank" << stand);
      std::fflush(nullptr);
      std::_Exit(1);
    }
  }
  for (std::thread& thread : threads) thread.join();
  return thrown;
}

}  // namespace dl::test
