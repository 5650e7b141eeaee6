// SPDX-License-Identifier: MIT
// What one rank receives, adds and sends in a collective that goes from rank to rank: doubling and tree. A graph of
// values, the same for every slice and round; comm/flow.h runs it.
//
// Which frames can come when, and why the places are enough. A rank begins round k+1 when its round k is over: it has
// the total, and all that it had to send is sent. Every total needs the parts of all ranks that have some, and who has
// none says that it has begun (`ready`) before a total is sent to it. So a rank is at most one round ahead of those that
// it sends to.
//
//   doubling  A partner of round l that is ahead has our value of round l in k, so we had all that we needed to add
//             its own, which came before. But the sum that we put in its place may still wait to be sent to the
//             partner of round l+1. So those places are there twice, by parity of the round: its round k+2 comes when
//             it has our values of k+1, which we began after everything of k was sent. The last round's sum is the
//             total and goes elsewhere: one place.
//   tree      Whoever is ahead has the total of round k, for which every sum of k has been made and has reached the
//             rank that adds it further. So the places of operands, which sums are made in, are free: one each.
//             A total of round k+1 is made of all parts and comes down by ranks that have said ready: not before this
//             rank has begun k+1, when nobody reads the result of k any more.
//
// Nothing of this is trusted: a frame that comes when its place is still used ends the group (Flow::expects).
#pragma once

#include <cstdint>
#include <vector>

#include "comm/parts.h"

namespace dl::comm {

inline constexpr std::uint32_t kNoValue = UINT32_MAX;

struct Schedule {
  enum class Where : std::uint8_t {
    part,    // an own part; there when the round begins
    result,  // the total
    slot,    // memory for what comes
    ready,   // no floats: a word that a rank has begun; an own one is there when the round begins
  };
  struct Value {
    Where where = Where::part;
    std::uint32_t index = 0;  // of the own part, or of the slot
  };
  struct Receive {
    std::uint32_t from = 0, tag = 0, value = 0;
  };
  // to = left + right; to may lie where either of them does. Without a right one it is a copy.
  struct Sum {
    std::uint32_t left = 0, right = kNoValue, to = 0;
  };
  struct Send {
    std::uint32_t value = 0, to = 0, tag = 0;
    std::uint32_t after = kNoValue;  // a value that has to be there too
  };

  std::vector<Value> values;
  std::vector<bool> twice;  // by slot: two rounds side by side
  std::vector<Receive> receives;
  std::vector<Sum> sums;    // operands before what is made of them
  std::vector<Send> sends;
  std::uint32_t total = 0;  // the value that is the total
};

// Whether the map of shards to ranks allows it (comm/collective.h). `shards`: leaves of the tree that the parts tile.
bool doubling_fits(std::uint32_t shards, const Parts& parts);
bool tree_fits(const Parts& parts);

// Where it fits; 70 where it does not.
Schedule doubling_schedule(std::uint32_t shards, const Parts& parts, std::uint32_t rank);
Schedule tree_schedule(std::uint32_t shards, const Parts& parts, std::uint32_t rank);

// Tags of all ranks' frames are below this.
std::uint32_t doubling_tags(const Parts& parts);
std::uint32_t tree_tags(const Parts& parts);

struct TreeTraffic {
  std::uint32_t hops = 0;     // messages that wait for each other until the last rank has the total of one slice
  std::uint32_t vectors = 0;  // that the rank with most of them receives, or sends
};
TreeTraffic tree_traffic(std::uint32_t shards, const Parts& parts);

}  // namespace dl::comm
