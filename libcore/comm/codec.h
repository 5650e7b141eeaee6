// SPDX-License-Identifier: MIT
// Codecs: a vector of floats becomes fewer bytes, and what is lost stays behind as error feedback.
//
// A codec is a value without state of its own. What it keeps between rounds belongs to a *group of shards*
// (group_of_shards()), so that the bits depend on the groups and never on the nodes that hold them:
//
//   u = gradient + residual;  code = encode(u);  residual = u - decode(code)          (error feedback)
//
// (Karimireddy et al. 2019, "Error feedback fixes SignSGD"; Stich et al. 2018.) The total is the sum of all groups'
// decoded codes, in the tree over the groups.
//
//   bf16   the nearest bfloat16, ties to even: 2 bytes an element.
//   int8   blocks of 128 elements of a range with one float32 scale, rounded at random without bias: 1.03 bytes an
//          element. The random number of an element is a pure function of (seed, group, round, range, place).
//   topk   the elements of largest magnitude of a range, exact, as indices and values: 8 bytes each; among equals the
//          first ones. Deep Gradient Compression (Lin et al. 2018).
//
// Momentum correction (Lin et al., section 3.2; algorithm 2): what is held back must have the momentum it would have
// had, so momentum is applied by each group before elements are chosen. With m the momentum of the optimizer:
//   v = fma(m, v, gradient);  residual += v   (nesterov: residual += fma(m, v, gradient))
// the chosen elements are sent, and residual and v become 0 there (factor masking, section 3.3). The optimizer then
// applies the total as plain SGD, because the momentum is in it already. (So where everything is sent in every
// round, no momentum is left.) Without momentum there is no v.
//
// Used by one thread; functions are pure but for the spans that they are given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/tree.h"
#include "comm/compression.h"

namespace dl::comm {

// Group g of `groups` (at most `shards`): a run of whole shards, equally many in each as far as that goes.
ShardRange group_of_shards(std::uint32_t shards, std::uint32_t groups, std::uint32_t g);

struct CodecSettings {
  CompressionSpec spec;                // bf16, int8 or topk
  std::uint64_t seed = 1;              // of the run
  float momentum = 0;                  // topk: of momentum correction; 0: none
  bool nesterov = false;
  std::uint64_t rounds_per_epoch = 1;  // topk: for the warm-up
};

// Which range is encoded: elements from `begin` of the vector, of this group, in this round (from 0). Names the
// random numbers, and topk's ratio.
struct CodePlace {
  std::uint64_t round = 0;
  std::uint32_t group = 0;
  std::uint64_t begin = 0;
};

// A group's memory of one range; each span is as long as the range, 0 at first.
struct Feedback {
  std::span<float> residual;
  std::span<float> velocity;  // empty where has_velocity() is false
};

class Codec {
 public:
  virtual ~Codec() = default;

  virtual bool has_velocity() const { return false; }
  // Of `size` elements in this round: known beforehand on both sides.
  virtual std::size_t bytes(std::size_t size, std::uint64_t round) const = 0;

  // `code` has bytes() bytes. False where the gradient or what comes of it is not finite; `code` and `feedback` mean
  // nothing then.
  [[nodiscard]] virtual bool encode(const CodePlace& place, std::span<const float> gradient,
                                    const Feedback& feedback, std::span<std::byte> code) const = 0;
  // Overwrites `out`. Whatever the bytes are, out holds finite numbers then, or this fails with 65.
  virtual void decode(ByteView code, std::uint64_t round, std::span<float> out) const = 0;

  // For who needs elements [begin, end) of the range alone: appends what `code`, of all of it, says of them.
  virtual void cut(ByteView code, std::size_t begin, std::size_t end, Bytes& out) const = 0;
  // Of so many elements, in any round.
  virtual std::size_t most_cut_bytes(std::size_t size) const = 0;
  // Overwrites `out` by what cut() made of elements [begin, begin + out.size()); the bits are those of decode(), and
  // it fails as that does.
  virtual void decode_cut(ByteView cut, std::uint64_t round, std::size_t begin, std::span<float> out) const = 0;
};

// For bf16, int8 and topk. (powersgd needs two sums, so it is no codec: comm/powersgd.h.)
std::unique_ptr<Codec> make_codec(const CodecSettings& settings);

}  // namespace dl::comm
