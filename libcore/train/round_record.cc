// SPDX-License-Identifier: MIT
#include "train/round_record.h"

#include <algorithm>

#include "base/error.h"
#include "comm/codec.h"

namespace dl::train {

namespace {

void put_number(Bytes& out, std::uint64_t value) {  // LEB128
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::byte>(value | 0x80));
  out.push_back(static_cast<std::byte>(value));
}

class Numbers {
 public:
  Numbers(ByteView bytes, const std::string& what) : reader_(bytes, what), what_(what) {}
  std::uint64_t get(std::uint64_t most) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      const auto byte = reader_.get<std::uint8_t>();
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte >= 0x80) continue;
      if (byte == 0 && shift > 0) {
        fail(Exit::data, "{}: a number that is longer than it must be at byte {}", what_, reader_.offset());
      }
      if (value > most) break;
      return value;
    }
    fail(Exit::data, "{}: a number above {} at byte {}", what_, most, reader_.offset());
  }
  std::size_t left() const { return reader_.left(); }

 private:
  ByteReader reader_;
  std::string what_;
};

// Those that follow from who holds which shard; of groups, from who holds their first.
std::vector<Unit> units_of(const RoundRecord& round) {
  std::vector<std::vector<std::uint32_t>> held(round.parts);
  std::vector<Unit> by_shard = round.units, units;
  std::ranges::sort(by_shard, {}, [](const Unit& unit) { return unit.shards.begin; });
  for (const Unit& unit : by_shard) {
    for (std::uint32_t s = unit.shards.begin; s < unit.shards.end; ++s) held[unit.rank].push_back(s);
  }
  if (round.groups > 0) {
    for (std::uint32_t rank = 0; rank < round.parts; ++rank) {
      for (std::uint32_t g = 0; g < round.groups; ++g) {
        const ShardRange range = comm::group_of_shards(round.shards, round.groups, g);
        if (std::ranges::binary_search(held[rank], range.begin)) units.push_back({range, rank});
      }
    }
    return units;
  }
  for (std::uint32_t rank = 0; rank < round.parts; ++rank) {
    for (const ShardRange& range : maximal_subtrees(round.shards, held[rank])) units.push_back({range, rank});
  }
  return units;
}

}  // namespace

Bytes RoundRecord::encode() const {
  Bytes out;
  put_number(out, first);
  put_number(out, last);
  put_number(out, total);
  put_number(out, shards);
  put_number(out, parts);
  put_number(out, units.size());
  for (const Unit& unit : units) {
    put_number(out, unit.rank);
    put_number(out, unit.shards.begin);
    put_number(out, unit.shards.size());
  }
  for (const auto& versions : reads) {
    for (const std::uint64_t version : versions) put_number(out, version - first);
  }
  for (const auto& units_in_order : arrivals) {
    for (const std::uint32_t unit : units_in_order) put_number(out, unit);
  }
  return out;
}

RoundRecord RoundRecord::decode(ByteView bytes, std::uint32_t groups, const std::string& what) {
  Numbers in(bytes, what);
  RoundRecord r;
  r.groups = groups;
  r.first = in.get(std::uint64_t{1} << 48);
  r.last = in.get(std::uint64_t{1} << 48);
  r.total = in.get(std::uint64_t{1} << 48);
  r.shards = static_cast<std::uint32_t>(in.get(65536));
  r.parts = static_cast<std::uint32_t>(in.get(1024));
  const std::uint64_t count = in.get(r.shards);
  if (r.last <= r.first || r.parts == 0 || count == 0) fail(Exit::data, "{}: an empty round", what);
  if (r.last > r.total) fail(Exit::data, "{}: it ends at step {} of {}", what, r.last, r.total);
  const std::uint64_t steps = r.last - r.first;
  std::vector<bool> seen(r.shards), has(r.parts);
  for (std::uint64_t u = 0; u < count; ++u) {
    Unit unit;
    unit.rank = static_cast<std::uint32_t>(in.get(r.parts - 1));
    unit.shards.begin = static_cast<std::uint32_t>(in.get(r.shards));
    unit.shards.end = unit.shards.begin + static_cast<std::uint32_t>(in.get(r.shards - unit.shards.begin));
    for (std::uint32_t s = unit.shards.begin; s < unit.shards.end; ++s) {
      if (seen[s]) fail(Exit::data, "{}: two units have shard {}", what, s);
      seen[s] = true;
    }
    has[unit.rank] = true;
    r.units.push_back(unit);
  }
  if (std::ranges::count(seen, false) != 0) fail(Exit::data, "{}: its units leave shards out", what);
  if (groups > r.shards) fail(Exit::data, "{}: {} groups of {} shards", what, groups, r.shards);
  if (units_of(r) != r.units) {
    fail(Exit::data, "{}: its units are not the {} of shards, in order", what,
         groups > 0 ? "groups" : "maximal subtrees");
  }
  // Every number takes a byte at least: this bounds what is allocated.
  const std::uint64_t ranks = static_cast<std::uint64_t>(std::ranges::count(has, true));
  if (steps > in.left() || in.left() / steps < r.parts * (ranks + count)) {
    fail(Exit::data, "{}: cut short", what);
  }
  for (std::uint32_t rank = 0; rank < r.parts; ++rank) {
    auto& versions = r.reads.emplace_back(has[rank] ? steps * r.parts : 0);
    for (std::size_t i = 0; i < versions.size(); ++i) {
      versions[i] = r.first + in.get(steps);
      if (i >= r.parts && versions[i] < versions[i - r.parts]) {
        fail(Exit::data, "{}: rank {} went back in part {}", what, rank, i % r.parts);
      }
    }
  }
  for (std::uint32_t part = 0; part < r.parts; ++part) {
    std::vector<std::uint64_t> times(count);
    auto& order = r.arrivals.emplace_back(steps * count);
    for (std::uint32_t& unit : order) {
      unit = static_cast<std::uint32_t>(in.get(count - 1));
      if (++times[unit] > steps) fail(Exit::data, "{}: too many gradients of unit {}", what, unit);
    }
  }
  if (in.left() > 0) fail(Exit::data, "{}: {} bytes too many", what, in.left());
  return r;
}

}  // namespace dl::train
