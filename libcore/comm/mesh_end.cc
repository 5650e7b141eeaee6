// SPDX-License-Identifier: MIT
#include "comm/mesh_end.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "comm/links.h"
#include "comm/segment.h"
#include "comm/shared.h"

namespace dl::comm {

namespace {

// What ranks say about a segment, over their connections, before the first round.
constexpr std::uint32_t kVerdictBytes = 128;  // text; nothing is good

// Whether there is anything to choose, which all ranks see alike.
bool has_choice(const SumPlan& plan) {
  return plan.size() > 0 && (possible(Collective::doubling, plan.shards, plan.parts_of_rank) ||
                             possible(Collective::tree, plan.shards, plan.parts_of_rank));
}

// How the buckets go, where not all of them go direct: ", 3 of 5 buckets by doubling".
std::string described(std::span<const Collective> of_bucket) {
  std::string text;
  for (const Collective collective : {Collective::doubling, Collective::tree}) {
    const auto count = std::ranges::count(of_bucket, collective);
    if (count > 0) text += fmt::format(", {} of {} buckets by {}", count, of_bucket.size(), name_of(collective));
  }
  return text;
}

class MeshEnd : public Communicator {
 public:
  MeshEnd(Membership rounds, std::string transport)
      : rounds_(std::move(rounds)), transport_(std::move(transport)) {}

  std::uint32_t rank() const override { return rounds_->group().rank; }
  std::uint32_t size() const override {
    return static_cast<std::uint32_t>(rounds_->group().members.size());
  }
  std::string transport() const override { return transport_; }
  ByteView gather(ByteView mine, std::span<const std::uint32_t> sizes) override {
    return rounds_->gather(mine, sizes);
  }
  void send(std::uint32_t to, std::uint64_t tag, std::span<const ByteView> pieces) override {
    rounds_->send(to, tag, pieces);
  }
  std::optional<Message> take(bool wait) override { return rounds_->take(wait); }

 protected:
  Membership rounds_;

 private:
  const std::string transport_;
};

class TcpEnd : public MeshEnd {
 public:
  TcpEnd(Membership rounds, std::string transport, const SumPlan& plan, std::optional<Collective> wish)
      : MeshEnd(std::move(rounds), std::move(transport)) {
    if (!wish && has_choice(plan)) choose_by_links(plan);
    how_ = described(rounds_->collectives());
    if (wish && !possible(*wish, plan.shards, plan.parts_of_rank)) {
      how_ = fmt::format(", direct, since these shards on these ranks cannot go by {}", name_of(*wish));
    }
  }

  std::string transport() const override { return MeshEnd::transport() + how_; }
  std::span<float> part(std::size_t i) override { return rounds_->part(i); }
  std::span<const float> result() const override { return rounds_->result(); }
  void start(std::size_t bucket) override { rounds_->start(bucket); }
  void wait(std::size_t bucket) override { rounds_->wait(bucket); }
  void post(ByteView record) override { rounds_->post(record); }
  ByteView collect() override { return rounds_->collect(); }

 private:
  // All ranks measure, and decide by the same numbers. Nobody begins a round before all have laid out theirs.
  void choose_by_links(const SumPlan& plan) {
    const LinkCost link = measure_links(*this);
    const std::vector<Collective> chosen = choose(plan, std::nullopt, link, rounds_->cut());
    if (chosen == rounds_->collectives()) return;
    rounds_->adopt(chosen);
    gather({}, std::vector<std::uint32_t>(plan.ranks(), 0));
  }

  std::string how_;  // buckets go, where not all of them go direct
};

class SharedEnd : public MeshEnd {
 public:
  SharedEnd(Membership rounds, const SumPlan& plan, std::shared_ptr<Memory> memory,
            std::string transport)
      : MeshEnd(std::move(rounds), std::move(transport)),
        sums_(plan, rounds_->group().rank, std::move(memory), rounds_->alarm()) {}

  std::span<float> part(std::size_t i) override { return sums_.part(i); }
  std::span<const float> result() const override { return sums_.result(); }
  void start(std::size_t bucket) override { sums_.start(bucket); }
  void wait(std::size_t bucket) override { sums_.wait(bucket); }
  void post(ByteView record) override { sums_.post(record); }
  ByteView collect() override { return sums_.collect(); }

 private:
  SharedSums sums_;  // leaves before the connections do
};

// Nothing, and what went wrong, where somebody has not got it.
std::shared_ptr<Memory> shared_memory(TcpRounds& rounds, const SumPlan& plan, std::string& why) {
  const std::size_t bytes = SharedLayout(plan).bytes();
  std::vector<std::uint32_t> sizes(plan.ranks(), 0);
  sizes[0] = Offer::kBytes;
  std::optional<Segment> segment;
  Offer offer;
  std::string verdict;
  const auto attempt = [&](const auto& work) {
    try {
      work();
    } catch (const Error& error) {
      verdict = std::string(error.what()).substr(0, kVerdictBytes);
    }
  };
  if (rounds.group().rank == 0) {
    attempt([&] { offer = segment.emplace(Segment::make(bytes)).offer(); });
    rounds.gather(offer.encode(), sizes);
  } else {
    offer = Offer::decode(rounds.gather({}, sizes));
    attempt([&] { segment.emplace(Segment::open(offer, bytes)); });
  }
  std::fill(sizes.begin(), sizes.end(), kVerdictBytes);
  Bytes mine(kVerdictBytes);
  std::ranges::copy(std::as_bytes(std::span(verdict)), mine.begin());
  const ByteView all = rounds.gather(mine, sizes);
  for (std::uint32_t rank = 0; rank < plan.ranks() && why.empty(); ++rank) {
    const ByteView said = all.subspan(std::size_t{rank} * kVerdictBytes, kVerdictBytes);
    if (said[0] == std::byte{0}) continue;
    const std::string text(reinterpret_cast<const char*>(said.data()), said.size());
    why = fmt::format("rank {}: {}", rank, shown(text.substr(0, text.find('\0'))));
  }
  return why.empty() ? segment->memory() : nullptr;
}

}  // namespace

std::unique_ptr<Communicator> mesh_end(Membership membership, const SumPlan& plan,
                                       std::optional<Collective> collective) {
  const std::string carried = membership->reached_by();
  if (!membership->all_near()) return std::make_unique<TcpEnd>(std::move(membership), carried, plan, collective);
  std::string why;
  std::shared_ptr<Memory> memory = shared_memory(*membership.operator->(), plan, why);
  if (memory) {
    return std::make_unique<SharedEnd>(std::move(membership), plan, std::move(memory),
                                       "shared memory and " + carried);
  }
  return std::make_unique<TcpEnd>(std::move(membership),
                                  fmt::format("{}, since shared memory failed ({})", carried, why), plan, collective);
}

}  // namespace dl::comm
