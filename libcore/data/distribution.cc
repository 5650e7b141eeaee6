// SPDX-License-Identifier: MIT
#include "data/distribution.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "data/gamma.h"

namespace dl::data {

namespace {

// Runs of samples draw under their number, below 2^62; these bits keep the others' draws apart.
constexpr std::uint32_t kSample = 0x80000000, kKey = 0x40000000, kTable = 0xFFFFFFFE;

Rng draws_of(std::uint64_t number, std::uint64_t seed, std::uint32_t kind) {
  return Rng(seed, Purpose::distribution, static_cast<std::uint32_t>(number),
             static_cast<std::uint32_t>(number >> 32) | kind);
}

}  // namespace

const std::vector<std::string>& by_names() {
  static const std::vector<std::string> names = {"random",   "round-robin", "contiguous", "stratified",
                                                 "weighted", "dirichlet",   "hash",       "auto"};
  return names;
}

By by_of(const std::string& name) {
  const auto& names = by_names();
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) fail(Exit::usage, "--by: {} is no strategy", shown(name));
  return static_cast<By>(at - names.begin());
}

const char* name_of(By by) { return by_names()[static_cast<std::size_t>(by)].c_str(); }

bool wants_classes(By by) { return by == By::stratified || by == By::dirichlet; }

bool fits_quotas(std::uint64_t groups, std::uint32_t shards) { return groups <= kMostQuotas / shards; }

Distribution::Distribution(DistributionOptions options, const TableCounts& training)
    : options_(std::move(options)), total_(training.samples) {
  const By by = options_.by;
  const std::uint32_t shards = options_.shards;
  if (by == By::automatic) fail(Exit::bug, "--by auto is a choice, not a distribution");
  if (by == By::weighted) {
    quotas_ = Quotas(1, shards);
    quotas_.set(0, apportion(total_, options_.weights));
  }
  if (!wants_classes(by)) return;
  const auto& classes = training.classes;
  if (!fits_quotas(classes.size(), shards)) {
    fail(Exit::data, "{}: --by {}: {} classes times {} shards are more than {}; ask for fewer shards (-n), or --by random",
         training.name, name_of(by), classes.size(), shards, kMostQuotas);
  }
  quotas_ = Quotas(static_cast<std::uint32_t>(classes.size()), shards);
  if (by == By::stratified) stratify(classes);
  for (std::uint32_t code = 0; by == By::dirichlet && code < classes.size(); ++code) {
    quotas_.set(code, apportion(classes[code], dirichlet(options_.alpha, shards,
                                                         draws_of(code, options_.seed, kTable))));
  }
}

// Each shard gets its whole share of each class; the samples that remain of a class go to the next
// shards of a circle, one each, and the next class goes on from there. So totals stay even too. The
// circle is in random order.
void Distribution::stratify(const std::vector<std::uint64_t>& classes) {
  const std::uint32_t shards = options_.shards;
  const auto circle = permutation(shards, draws_of(0, options_.seed, kTable));
  std::uint32_t at = 0;
  std::vector<std::uint64_t> quotas;
  for (std::uint32_t code = 0; code < classes.size(); ++code) {
    quotas.assign(shards, classes[code] / shards);
    for (std::uint64_t i = 0; i < classes[code] % shards; ++i) {
      ++quotas[circle[at]];
      at = at + 1 == shards ? 0 : at + 1;
    }
    quotas_.set(code, quotas);
  }
}

std::uint32_t Distribution::deal(std::uint64_t sample) {
  const std::uint64_t run = sample / options_.shards;
  if (run != run_) {
    run_ = run;
    order_ = permutation(options_.shards, draws_of(run, options_.seed, 0));
  }
  return order_[sample % options_.shards];
}

std::uint32_t Distribution::shard_of(std::uint64_t sample, const SampleFacts& facts) {
  __extension__ using Wide = unsigned __int128;
  switch (options_.by) {
    case By::random: return deal(sample);
    case By::round_robin: return static_cast<std::uint32_t>(sample % options_.shards);
    case By::contiguous:
      return static_cast<std::uint32_t>(Wide{sample} * options_.shards / total_);
    case By::hash:
      return static_cast<std::uint32_t>(
          draws_of(facts.key, options_.seed, kKey).below(options_.shards));
    case By::weighted: return quotas_.draw(0, draws_of(sample, options_.seed, kSample));
    case By::stratified:
    case By::dirichlet: return quotas_.draw(facts.code, draws_of(sample, options_.seed, kSample));
    case By::automatic: break;
  }
  fail(Exit::bug, "--by auto is a choice, not a distribution");
}

}  // namespace dl::data
