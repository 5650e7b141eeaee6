// SPDX-License-Identifier: MIT
// One file that a node fetches, as a pure state machine: pieces in, wishes and bytes out. The
// coordinator keeps nothing between two wishes, and a node has a few of them open at a time, so
// neither side can be flooded by the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/hash.h"
#include "coord/files.h"
#include "coord/messages.h"

namespace dl::coord {

class FetchedFile {
 public:
  // `name` is for messages. Longer than `most` bytes is 65, known with the first piece.
  FetchedFile(std::string name, std::string sha256, std::uint64_t most);

  // What to ask for now; the first wish of all, or those that a piece has made possible.
  std::vector<Fetch> wishes();
  // The next piece; its bytes are the file's next ones. 76 where it is not the piece that was asked
  // for, or another size than the pieces before said; 65 where the last one completes another file than
  // the digest promised, so the file that was written must not be kept.
  void take(const FilePiece& piece);
  bool whole() const { return whole_; }

 private:
  std::string name_, sha256_;
  std::uint64_t most_;
  std::uint64_t size_ = 0;     // known when the first piece is here
  std::uint64_t came_ = 0;     // bytes
  std::uint64_t asked_ = 0;    // offset of the next wish
  bool first_asked_ = false, first_came_ = false, whole_ = false;
  Sha256 digest_;
};

}  // namespace dl::coord
