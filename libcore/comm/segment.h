// SPDX-License-Identifier: MIT
// Memory that the processes of one host share, without a name in any file system.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "comm/memory.h"

namespace dl::comm {

// What its maker tells the others about a segment.
struct Offer {
  static constexpr std::uint32_t kBytes = 40;

  std::uint64_t process = 0;
  std::uint64_t descriptor = 0;
  std::uint64_t token[3] = {};  // at random; part of the file's name for /proc

  Bytes encode() const;
  static Offer decode(ByteView bytes);  // exactly kBytes
};

// A memfd of fixed size: it is gone with the last process that has it mapped, however that ends. It
// cannot shrink or grow (sealed), so nobody's access can fail because of a peer.
class Segment {
 public:
  // Zero everywhere. Throws Error with the reason.
  static Segment make(std::size_t bytes);
  // Opens what a peer on this host made, through /proc. Throws Error where it is not what the offer
  // says: of another user, size or name, not sealed, or not to be opened.
  static Segment open(const Offer& offer, std::size_t bytes);
  ~Segment();
  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&&) = delete;

  Offer offer() const;
  const std::shared_ptr<Memory>& memory() const { return memory_; }

 private:
  Segment(int file, std::size_t bytes);

  int file_;  // kept while the others open it
  std::shared_ptr<Memory> memory_;
  std::uint64_t token_[3] = {};
};

}  // namespace dl::comm
