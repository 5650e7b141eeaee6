// SPDX-License-Identifier: MIT
#include "comm/mesh_end.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "comm/segment.h"
#include "comm/shared.h"

namespace dl::comm {

namespace {

// What ranks say about a segment, over their connections, before the first round.
constexpr std::uint32_t kVerdictBytes = 128;  // text; nothing is good

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
  using MeshEnd::MeshEnd;

  std::span<float> part(std::size_t i) override { return rounds_->part(i); }
  std::span<const float> result() const override { return rounds_->result(); }
  void start(std::size_t bucket) override { rounds_->start(bucket); }
  void wait(std::size_t bucket) override { rounds_->wait(bucket); }
  void post(ByteView record) override { rounds_->post(record); }
  ByteView collect() override { return rounds_->collect(); }
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

std::unique_ptr<Communicator> mesh_end(Membership membership, const SumPlan& plan) {
  const std::string carried = membership->reached_by();
  if (!membership->all_near()) return std::make_unique<TcpEnd>(std::move(membership), carried);
  std::string why;
  std::shared_ptr<Memory> memory = shared_memory(*membership.operator->(), plan, why);
  if (memory) {
    return std::make_unique<SharedEnd>(std::move(membership), plan, std::move(memory),
                                       "shared memory and " + carried);
  }
  return std::make_unique<TcpEnd>(std::move(membership),
                                  fmt::format("{}, since shared memory failed ({})", carried, why));
}

}  // namespace dl::comm
