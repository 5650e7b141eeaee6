// SPDX-License-Identifier: MIT
#include "linalg/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace dl::linalg {

Buffer::Buffer(std::size_t size) : size_(size) {
  if (size == 0) return;
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t bytes = size * sizeof(float);
  const std::size_t border = bytes >= kHugePage ? kHugePage : 64;
  const std::size_t rounded = (bytes + border - 1) / border * border;
  void* memory = std::aligned_alloc(border, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  // A refusal costs speed only.
  if (border == kHugePage) (void)madvise(memory, rounded, MADV_HUGEPAGE);
  std::memset(memory, 0, bytes);
  data_.reset(static_cast<float*>(memory));
}

void Buffer::reserve(std::size_t size) {
  if (size > size_) *this = Buffer(size);
}

void Buffer::Free::operator()(float* data) const {
  std::free(data);
}

}  // namespace dl::linalg
