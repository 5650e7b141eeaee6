// SPDX-License-Identifier: MIT
// A communicator whose sums travel compressed.
//
// It stands before another one and is used as that is: part(i) is the sum of a *group of shards* (comm/codec.h), which
// is what the plan calls a shard here: `shards` is the number of groups, and a rank has a part for every group that it
// holds, however they lie. result() is the same on all ranks, and depends on the groups, never on who held them.
//
//   plan.shards = groups;  plan.parts_of_rank[r] = {{g, g + 1} for each group g of rank r, ascending}
//   auto end = make_compressed(plan, compression, state, round, [&](const SumPlan& p) { return mesh.connect(.., p); });
//
// bf16, int8, topk: every group's code goes to every rank, as one message for 32 KiB of code or a round, while later
// buckets are computed; everybody decodes all of them and adds them in the tree over the groups. A rank sends
// (ranks - 1) * (its groups) * (code of a vector) bytes a round.
// powersgd: two sums of the usual kind, of P with all that is not compressed, and of Q; their bytes do not depend on
// the number of groups.
//
// What is held back (CompressionState) is written in every round. When a round does not end (RoundAborted), it may
// have gone on or not: it is worth nothing then, and training goes back to a state that was saved.
#pragma once

#include <functional>
#include <memory>

#include "comm/communicator.h"
#include "comm/compression_state.h"

namespace dl::comm {

using Connect = std::function<std::unique_ptr<Communicator>(const SumPlan& plan)>;

// `round`: the number of the first round that it is used for. In every round each bucket is started and waited for.
// wait() fails with 65 when a group's sum is not finite, on every rank. Messages are the communicator's own: a strategy
// that compresses its sums cannot send() or take().
std::unique_ptr<Communicator> make_compressed(const SumPlan& plan, const Compression& compression,
                                              CompressionState state, std::uint64_t round, const Connect& connect);

}  // namespace dl::comm
