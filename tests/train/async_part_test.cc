// SPDX-License-Identifier: MIT
// The owner of a part, as the pure machine that it is.
#include "train/async_part.h"

#include <doctest/doctest.h>

#include <deque>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "train/async_plan.h"

using namespace dl;

namespace {

train::UpdateRule rule_for(const std::vector<train::Unit>& units, double lambda = 0) {
  train::UpdateRule rule;
  rule.delay_compensation = lambda;
  rule.shards = units.back().shards.end;
  rule.units = units;
  return rule;
}

}  // namespace

TEST_CASE("async: parts cover the parameters, aligned, as long as their ranks have shards") {
  for (const std::uint64_t elements : {1ULL, 15ULL, 16ULL, 100ULL, 4097ULL, 1'000'000'000'007ULL}) {
    for (const std::uint32_t ranks : {1U, 2U, 3U, 7U, 300U}) {
      std::vector<train::Unit> units;
      for (std::uint32_t r = 0; r < ranks; ++r) units.push_back({{r, r + 1}, r});
      std::uint64_t at = 0;
      for (const nn::ElementRange& range : train::parts_of(elements, units, ranks)) {
        CHECK(range.begin == at);
        CHECK(range.begin % 16 == 0);
        at = range.end;
      }
      CHECK(at == elements);
    }
  }
  const auto lengths = [](std::vector<train::Unit> units, std::uint32_t ranks) {
    std::vector<std::uint64_t> out;
    for (const nn::ElementRange& range : train::parts_of(16 * 8000, units, ranks)) out.push_back(range.end - range.begin);
    return out;
  };
  CHECK(lengths({{{0, 4}, 0}, {{4, 6}, 0}, {{6, 7}, 0}, {{7, 8}, 1}}, 2) == std::vector<std::uint64_t>{112000, 16000});
  CHECK(lengths({{{4, 8}, 0}, {{0, 2}, 2}, {{2, 4}, 2}}, 4) == std::vector<std::uint64_t>{64000, 0, 64000, 0});
}

TEST_CASE("async: one update per S gradients in any order of arrival, whatever the units' sizes") {
  const std::vector<train::Unit> units = {{{0, 4}, 0}, {{4, 6}, 1}, {{6, 7}, 2}};
  const train::UpdateRule rule = rule_for(units, 0.5);
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<float> begin(5, 1.0F);
    train::PartOwner owner(rule, 0, 10, begin, {});
    Rng rng(seed, Purpose::test, 0);
    std::vector<std::uint64_t> step(units.size(), 10);
    std::uint64_t gradients = 0;
    constexpr std::uint64_t kSteps = 12;
    while (gradients < 7 * kSteps) {
      const auto u = static_cast<std::uint32_t>(rng.next64() % units.size());
      if (step[u] == 10 + kSteps) continue;
      gradients += units[u].shards.size();
      const std::uint64_t before = owner.version();
      const std::vector<double> weights(units[u].shards.size(), 0.75);
      owner.arrive({u, step[u]++, owner.version(), weights, std::vector<float>(5, 0.25F)});
      const bool updated = owner.advance();
      CHECK_FALSE(owner.advance());
      CHECK(owner.version() == 10 + gradients / 7);
      CHECK(updated == (owner.version() > before));
      if (updated) CHECK(owner.waiting() == 0);
    }
    CHECK(owner.version() == 10 + kSteps);
    for (std::uint32_t r = 0; r < 3; ++r) CHECK(owner.applied(r) == 10 + kSteps);
    CHECK(owner.applied(3) == UINT64_MAX);
  }
}

TEST_CASE("async: no order of events locks the ranks, whatever the bound and the units' sizes") {
  const std::optional<std::uint64_t> bounds[] = {0, 1, 3, 8, 20, std::nullopt};
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    const std::optional<std::uint64_t> bound = bounds[seed % 6];
    Rng rng(seed, Purpose::test, 1);
    const auto below = [&](std::uint64_t n) { return rng.next64() % n; };
    std::vector<train::Unit> units;  // rank r has unit r, the first one most of the shards now and then
    std::uint32_t shards = 0;
    for (std::uint32_t r = 0; r < 2 + below(3); ++r) {
      const auto size = static_cast<std::uint32_t>(r == 0 ? 1 + below(20) : 1 + below(2));
      units.push_back({{shards, shards + size}, r});
      shards += size;
    }
    const std::size_t ranks = units.size();
    train::PartOwner owner(rule_for(units), 0, 0, std::vector<float>(1), {});
    const auto applied = [&] {
      std::vector<std::uint64_t> steps;
      for (std::uint32_t r = 0; r < ranks; ++r) steps.push_back(owner.applied(r));
      return steps;
    };
    constexpr std::uint64_t kSteps = 60;
    std::vector<std::vector<std::uint64_t>> seen(ranks, applied());  // by rank: what it knows
    std::vector<std::uint64_t> begun(ranks), came(ranks);
    const auto deliver = [&](std::uint32_t r) {
      owner.arrive({r, came[r]++, owner.version(), std::vector<double>(units[r].shards.size(), 1.0), {1.0F}});
      owner.advance();
    };
    std::uint64_t still = 0;  // turns in which nothing happened
    while (owner.version() < kSteps && still < 100) {
      const auto r = static_cast<std::uint32_t>(below(ranks));
      const std::uint64_t what = below(3);
      ++still;
      const std::uint64_t most = train::most_under_way(units, r);
      if (what == 0 && begun[r] < kSteps && train::may_begin(begun[r], r, seen[r], bound, most)) {
        for (const std::uint64_t steps : seen[r]) REQUIRE((!bound || begun[r] <= steps + *bound));
        ++begun[r];
        still = 0;
      } else if (what == 1 && came[r] < begun[r]) {
        deliver(r);
        still = 0;
      } else if (what == 2 && seen[r] != applied()) {
        seen[r] = applied();
        still = 0;
      }
    }
    CAPTURE(seed);
    CHECK(owner.version() == kSteps);
  }
}

TEST_CASE("async: a stale gradient counts 1 / (1 + tau), and is moved along its square with delay compensation") {
  const std::vector<train::Unit> units = {{{0, 1}, 0}, {{1, 2}, 1}};
  for (const double lambda : {0.0, 0.5}) {
    train::UpdateRule rule = rule_for(units, lambda);
    rule.schedule.lr = 1.0;
    const std::vector<float> begin = {4.0F};
    train::PartOwner owner(rule, 0, 0, begin, {});
    const auto arrive = [&](train::Contribution c) {
      owner.arrive(std::move(c));
      owner.advance();
    };
    arrive({0, 0, 0, {1.0}, {2.0F}});
    arrive({0, 1, 0, {1.0}, {2.0F}});  // 4 - (2 + 2) / 2
    REQUIRE(owner.values()[0] == 2.0F);
    arrive({1, 0, 0, {1.0}, {1.0F}});  // tau 1: g = 1 + 0.5 * 1 * (2 - 4) = 0 with delay compensation
    arrive({1, 1, 1, {1.0}, {1.0F}});  // tau 0
    const float stale = lambda > 0 ? 0.0F : 1.0F / 2.0F;
    CHECK(owner.values()[0] == 2.0F - (stale + 1.0F) / 2.0F);
  }
}

TEST_CASE("async: a gradient that does not fit is refused with what was due") {
  train::PartOwner owner(rule_for({{{0, 1}, 0}, {{1, 2}, 1}}), 0, 0, std::vector<float>(3), {});
  const std::vector<float> three(3), two(2);
  CHECK_THROWS_AS(owner.arrive({2, 0, 0, {1.0}, three}), Error);  // no such unit
  CHECK_THROWS_AS(owner.arrive({0, 1, 0, {1.0}, three}), Error);  // a step left out
  CHECK_THROWS_AS(owner.arrive({0, 0, 1, {1.0}, three}), Error);  // a version that is still to come
  CHECK_THROWS_AS(owner.arrive({0, 0, 0, {1.0}, two}), Error);
  CHECK_THROWS_AS(owner.arrive({0, 0, 0, {1.0, 1.0}, three}), Error);  // weights of shards that are not its own
  owner.arrive({0, 0, 0, {1.0}, three});
  CHECK_THROWS_AS(owner.arrive({0, 0, 0, {1.0}, three}), Error);  // twice
}

namespace {

// Owners of the parts of a vector, with messages between them that wait to be delivered.
struct Owners {
  explicit Owners(const train::UpdateRule& rule) {
    const std::vector<float> begin(rule.parts.back().end, 1.0F);
    for (std::uint32_t p = 0; p < rule.parts.size(); ++p) {
      const auto [from, to] = rule.parts[p];
      const std::span<const std::span<const float>> no_slots;
      all.emplace_back(rule, p, 0, std::span(begin).subspan(from, to - from), no_slots);
      arrivals.emplace_back();
    }
    shares.resize(all.size() * all.size());
  }

  void arrive(std::uint32_t p, const train::Contribution& whole) {
    train::Contribution cut = whole;
    const auto [from, to] = all[p].rule().parts[p];
    cut.gradient.resize(to);
    cut.gradient.erase(cut.gradient.begin(), cut.gradient.begin() + static_cast<std::ptrdiff_t>(from));
    cut.read = all[p].version();
    arrivals[p].push_back(cut);
    all[p].arrive(std::move(cut));
    advance(p);
  }
  void advance(std::uint32_t p) {
    do {
      if (const auto share = all[p].take_share()) {
        for (std::uint32_t q = 0; q < all.size(); ++q) {
          if (q != p) shares[p * all.size() + q].push_back(*share);
        }
      }
    } while (all[p].advance());
  }
  // The oldest of what is on its way on one of the links; false where there is none.
  bool deliver(std::size_t link) {
    if (shares[link].empty()) return false;
    const auto from = static_cast<std::uint32_t>(link / all.size()), to = static_cast<std::uint32_t>(link % all.size());
    all[to].hear(from, std::move(shares[link].front()));
    shares[link].pop_front();
    advance(to);
    return true;
  }
  std::vector<float> values() const {
    std::vector<float> out;
    for (const auto& owner : all) out.insert(out.end(), owner.values().begin(), owner.values().end());
    return out;
  }

  std::vector<train::PartOwner> all;
  std::vector<std::vector<train::Contribution>> arrivals;  // by part, as they came
  std::vector<std::deque<train::NormShare>> shares;        // by link
};

}  // namespace

TEST_CASE("async: clipped, owners come to the same whatever the order of their messages, and never lock") {
  const std::vector<train::Unit> units = {{{0, 2}, 0}, {{2, 3}, 1}, {{3, 4}, 2}};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Rng rng(seed, Purpose::test, 4);
    train::UpdateRule rule = rule_for(units, 0.5);
    rule.optimizer.clip_norm = 0.3F;
    rule.parts = {{0, 5000}, {5000, 5000}, {5000, 9000}};
    Owners owners(rule);
    constexpr std::uint64_t kSteps = 6;
    std::vector<std::vector<std::uint64_t>> came(3, std::vector<std::uint64_t>(3));  // by part and unit
    const auto gradient = [&](std::uint32_t unit, std::uint64_t step) {
      train::Contribution c{unit, step, 0, {}, std::vector<float>(9000)};
      Rng its(seed, Purpose::test, 5, unit * 100 + static_cast<std::uint32_t>(step));
      for (std::uint32_t s = 0; s < units[unit].shards.size(); ++s) {
        c.weights.push_back(1.0 + static_cast<double>(its.below(3)));
      }
      for (float& g : c.gradient) g = its.uniform(-1, 1);
      return c;
    };
    for (std::uint64_t turns = 0; turns < 3000; ++turns) {
      const std::uint64_t what = rng.below(4);
      const auto p = static_cast<std::uint32_t>(rng.below(3)), unit = static_cast<std::uint32_t>(rng.below(3));
      if (what == 0) {
        owners.deliver(rng.below(9));
      } else if (came[p][unit] < kSteps) {
        owners.arrive(p, gradient(unit, came[p][unit]++));
      }
    }
    for (bool moved = true; std::exchange(moved, false);) {
      for (std::size_t link = 0; link < 9; ++link) moved = owners.deliver(link) || moved;
    }
    for (const auto& owner : owners.all) REQUIRE(owner.version() == kSteps);
    // Once more, with every message at once, the arrivals one part after the other as far as each can go.
    Owners again(rule);
    std::vector<std::size_t> places(3);
    for (bool moved = true; std::exchange(moved, false);) {
      for (std::uint32_t p = 0; p < 3; ++p) {
        while (places[p] < owners.arrivals[p].size() && owners.arrivals[p][places[p]].read <= again.all[p].version()) {
          again.all[p].arrive(owners.arrivals[p][places[p]++]);
          again.advance(p);
          moved = true;
        }
        for (std::size_t link = 0; link < 9; ++link) {
          while (again.deliver(link)) moved = true;
        }
      }
    }
    CHECK(again.values() == owners.values());
  }
}
