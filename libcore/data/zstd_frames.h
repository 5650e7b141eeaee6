// SPDX-License-Identifier: MIT
// Where the frames of zstd data begin and end, without unpacking them (RFC 8878, section 3.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dl::data {

// Is shown all packed bytes, in pieces of any size, and knows whether a frame is open. It does not
// judge: bytes that are no frame are for the decoder to refuse.
class ZstdFrames {
 public:
  void follow(std::string_view bytes);
  // Before the first frame or behind a whole one.
  bool at_border() const { return part_ == Part::magic && have_ == 0 && pass_ == 0; }

 private:
  enum class Part { magic, descriptor, block, skippable, unknown };
  static unsigned size_of(Part part);  // of the bytes that tell what comes next
  void end_part();

  Part part_ = Part::magic;
  std::uint32_t word_ = 0;   // the bytes of the part so far, the first one lowest
  unsigned have_ = 0;
  std::uint64_t pass_ = 0;   // bytes to pass over before the part begins
  bool checksum_ = false;    // the open frame ends in one
};

}  // namespace dl::data
