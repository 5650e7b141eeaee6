// SPDX-License-Identifier: MIT
#include "data/zstd_frames.h"

#include <algorithm>
#include <array>

namespace dl::data {

unsigned ZstdFrames::size_of(Part part) {
  switch (part) {
    case Part::descriptor: return 1;
    case Part::block: return 3;
    default: return 4;
  }
}

void ZstdFrames::follow(std::string_view bytes) {
  while (!bytes.empty()) {
    if (pass_ > 0) {
      const std::uint64_t n = std::min<std::uint64_t>(pass_, bytes.size());
      pass_ -= n;
      bytes.remove_prefix(n);
      continue;
    }
    if (part_ == Part::unknown) return;
    word_ |= std::uint32_t{static_cast<unsigned char>(bytes[0])} << 8 * have_++;
    bytes.remove_prefix(1);
    if (have_ == size_of(part_)) {
      end_part();
      word_ = 0;
      have_ = 0;
    }
  }
}

void ZstdFrames::end_part() {
  switch (part_) {
    case Part::magic:
      part_ = word_ == 0xFD2FB528          ? Part::descriptor
              : (word_ & ~0xFU) == 0x184D2A50 ? Part::skippable
                                           : Part::unknown;
      break;
    case Part::skippable:
      pass_ = word_;
      part_ = Part::magic;
      break;
    case Part::descriptor: {
      constexpr std::array<unsigned, 4> kDictionary = {0, 1, 2, 4};
      constexpr std::array<unsigned, 4> kContent = {0, 2, 4, 8};
      const bool single = (word_ & 0x20) != 0;
      checksum_ = (word_ & 4) != 0;
      pass_ = kDictionary[word_ & 3] + kContent[word_ >> 6];
      pass_ += single ? (word_ >> 6 == 0 ? 1 : 0) : 1;  // a short content size, or the window's
      part_ = Part::block;
      break;
    }
    case Part::block: {
      const bool last = (word_ & 1) != 0;
      const bool repeated = (word_ >> 1 & 3) == 1;  // one byte, however often
      pass_ = repeated ? 1 : word_ >> 3;
      if (last) {
        if (checksum_) pass_ += 4;
        part_ = Part::magic;
      }
      break;
    }
    case Part::unknown: break;
  }
}

}  // namespace dl::data
