// SPDX-License-Identifier: MIT
// Memory that gradients lie in: pages of this process, or pages that several processes see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace dl::comm {

// Owns a mapping, zero at first unless it is of a file. It begins at a border of 2 MiB where it is as
// long as that, and asks for pages of that size.
class Memory {
 public:
  // `file`: a descriptor, to be mapped from its first byte and shared with whoever else maps it; it may
  // be closed afterwards. -1: pages of this process alone. Throws std::bad_alloc.
  explicit Memory(std::size_t bytes, int file = -1);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

// Vectors of `size` floats, side by side in one memory: each begins on a cache line, no two of them on
// the same lines of a cache's ways, so that they can be read together.
class Vectors {
 public:
  Vectors(std::size_t count, std::uint64_t size);             // in memory of their own
  Vectors(std::byte* at, std::size_t count, std::uint64_t size);  // in bytes(count, size) bytes of another's
  static std::uint64_t bytes(std::size_t count, std::uint64_t size);

  std::span<float> operator[](std::size_t i) const;

 private:
  std::unique_ptr<Memory> own_;
  float* begin_;
  std::size_t count_;
  std::uint64_t size_;
};

}  // namespace dl::comm
