// SPDX-License-Identifier: MIT
#include "comm/coded_sum.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace dl::comm {

namespace {

constexpr std::size_t kLetterBytes = 32 * 1024;  // of one group: what is sent before the next bucket is waited for

std::vector<ShardRange> leaves(std::uint32_t count) {
  std::vector<ShardRange> out;
  for (std::uint32_t g = 0; g < count; ++g) out.push_back({g, g + 1});
  return out;
}

std::uint64_t longest_bucket(const SumPlan& plan) {
  std::uint64_t most = 0;
  for (const SumPlan::Bucket& bucket : plan.buckets) most = std::max(most, bucket.end - bucket.begin);
  return most;
}

// The inner communicator carries records and messages only. A letter grows until it is long enough, and no round has
// longer codes than the first one.
SumPlan inner_plan(const SumPlan& plan, const Codec& codec) {
  SumPlan inner = plan;
  inner.buckets.clear();
  std::size_t most_groups = 0;
  for (const auto& parts : plan.parts_of_rank) most_groups = std::max(most_groups, parts.size());
  inner.message_bytes = most_groups * (kLetterBytes + codec.bytes(longest_bucket(plan), 0));
  return inner;
}

}  // namespace

CodedSum::CodedSum(const SumPlan& plan, const Compression& compression, CompressionState state, std::uint64_t round,
                   const Connect& connect)
    : plan_(plan),
      codec_(make_codec(compression.settings)),
      state_(std::move(state)),
      groups_(plan.shards),
      sum_(plan.shards, leaves(plan.shards)),
      vectors_(state_.groups.size() + 1, plan.size()),
      next_round_(round),
      letter_of_(plan.buckets.size()),
      offset_(plan.buckets.size()),
      decoded_(plan.shards, longest_bucket(plan)) {
  inner_ = connect(inner_plan(plan, *codec_));
  for (std::uint32_t r = 0; r < plan.ranks(); ++r) {
    for (std::size_t i = 0; i < plan.parts_of_rank[r].size(); ++i) {
      const ShardRange part = plan.parts_of_rank[r][i];
      if (part.size() != 1) fail(Exit::bug, "a part of {} groups where each is compressed by itself", part.size());
      groups_.at(part.begin) = {r, i};
      if (r == rank()) own_.push_back(part.begin);
    }
  }
  if (own_.size() != state_.groups.size()) {
    fail(Exit::bug, "{} groups have the error feedback of {}", own_.size(), state_.groups.size());
  }
}

std::size_t CodedSum::elements(std::size_t bucket) const {
  return plan_.buckets[bucket].end - plan_.buckets[bucket].begin;
}

void CodedSum::open_round() {
  round_ = next_round_++;
  first_tag_ += letters_.size();
  arrived_.erase(arrived_.begin(), arrived_.lower_bound(first_tag_));
  letters_.clear();
  for (std::size_t b = 0; b < plan_.buckets.size(); ++b) {
    if (letters_.empty() || letters_.back().bytes >= kLetterBytes) letters_.push_back({.first = b});
    Letter& letter = letters_.back();
    letter_of_[b] = letters_.size() - 1;
    offset_[b] = letter.bytes;
    letter.last = b;
    letter.bytes += codec_->bytes(elements(b), round_);
  }
  sent_.resize(letters_.size());
  for (std::size_t i = 0; i < letters_.size(); ++i) sent_[i].resize(letters_[i].bytes * own_.size());
}

void CodedSum::start(std::size_t bucket) {
  if (bucket == 0) open_round();
  const std::uint64_t begin = plan_.buckets[bucket].begin;
  const std::size_t count = elements(bucket);
  const std::size_t which = letter_of_[bucket];
  const Letter& letter = letters_[which];
  for (std::size_t i = 0; i < own_.size(); ++i) {
    const auto code = std::span(sent_[which]).subspan(i * letter.bytes + offset_[bucket],
                                                      codec_->bytes(count, round_));
    const Feedback& all = state_.groups[i];
    const Feedback feedback = {all.residual.subspan(begin, count),
                               codec_->has_velocity() ? all.velocity.subspan(begin, count) : std::span<float>()};
    const CodePlace place = {.round = round_, .group = own_[i], .begin = begin};
    if (!codec_->encode(place, vectors_[i].subspan(begin, count), feedback, code)) {
      std::ranges::fill(code, std::byte{0xFF});  // which no decoder takes, so that every rank learns it
    }
  }
  if (bucket == letter.last && !own_.empty()) {
    const ByteView payload = sent_[which];
    for (std::uint32_t r = 0; r < size(); ++r) {
      if (r != rank()) inner_->send(r, first_tag_ + which, std::span(&payload, 1));
    }
  }
}

void CodedSum::receive(std::uint64_t tag) {
  const auto missing = [&] {
    const std::vector<Bytes>& letters = arrived_[tag];
    for (std::uint32_t r = 0; r < size(); ++r) {
      const bool owes = r != rank() && !plan_.parts_of_rank[r].empty();
      if (owes && (letters.empty() || letters[r].empty())) return true;
    }
    return false;
  };
  while (missing()) {
    Message message = *inner_->take(true);
    // Nobody is more than a round ahead, since the round after needs our letters.
    if (message.tag < first_tag_ || message.tag >= first_tag_ + letters_.size() + plan_.buckets.size()) {
      throw RoundAborted(fmt::format("rank {} sent code {} in a round of {} to {}", message.from, message.tag,
                                     first_tag_, first_tag_ + letters_.size()));
    }
    std::vector<Bytes>& letters = arrived_[message.tag];
    letters.resize(size());
    if (!letters[message.from].empty()) {
      throw RoundAborted(fmt::format("rank {} sent code {} twice", message.from, message.tag));
    }
    letters[message.from] = std::move(message.payload);
  }
}

ByteView CodedSum::code(std::size_t bucket, const Group& group) const {
  const std::size_t which = letter_of_[bucket];
  const Letter& letter = letters_[which];
  const Bytes& all = group.rank == rank() ? sent_[which] : arrived_.at(first_tag_ + which)[group.rank];
  if (all.size() != letter.bytes * plan_.parts_of_rank[group.rank].size()) {
    throw RoundAborted(fmt::format("rank {} sent a code of {} bytes, where {} belong", group.rank, all.size(),
                                   letter.bytes * plan_.parts_of_rank[group.rank].size()));
  }
  return ByteView(all).subspan(group.place * letter.bytes + offset_[bucket], codec_->bytes(elements(bucket), round_));
}

void CodedSum::wait(std::size_t bucket) {
  receive(first_tag_ + letter_of_[bucket]);
  const std::size_t count = elements(bucket);
  std::vector<const float*> operands;
  for (std::uint32_t g = 0; g < groups_.size(); ++g) {
    const std::span<float> out = decoded_[g].first(count);
    try {
      codec_->decode(code(bucket, groups_[g]), round_, out);
    } catch (const Error& error) {
      fail(error.code(), "the sums of shard group {} (rank {}) in round {} cannot be added: {}", g, groups_[g].rank,
           round_ + 1, error.what());
    }
    operands.push_back(out.data());
  }
  sum_.add(operands, vectors_[own_.size()].data() + plan_.buckets[bucket].begin, count);
}

void CodedSum::send(std::uint32_t, std::uint64_t, std::span<const ByteView>) {
  fail(Exit::bug, "messages of a group that compresses its sums are its own");
}

std::optional<Message> CodedSum::take(bool) {
  fail(Exit::bug, "messages of a group that compresses its sums are its own");
}

}  // namespace dl::comm
