// SPDX-License-Identifier: MIT
#include "comm/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "base/error.h"

namespace dl::comm {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::uint64_t kLine = 16;  // floats in a cache line

// An odd number of lines from one vector to the next.
std::uint64_t stride(std::uint64_t size) { return ((size + kLine - 1) / kLine | 1) * kLine; }

}  // namespace

Memory::Memory(std::size_t bytes, int file) {
  if (bytes == 0) return;
  const std::size_t spare = bytes >= kHugePage ? kHugePage : 0;
  // Room is reserved first, since the kernel chooses the border of a page only.
  void* const room =
      ::mmap(nullptr, bytes + spare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(room);
  const std::size_t before =
      spare == 0 ? 0 : (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  const int how = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* const at =
      ::mmap(begin + before, bytes, PROT_READ | PROT_WRITE, how | MAP_FIXED, file < 0 ? -1 : file, 0);
  if (at == MAP_FAILED) {
    ::munmap(room, bytes + spare);
    throw std::bad_alloc();
  }
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t end = (before + bytes + page - 1) / page * page;
  if (before > 0) ::munmap(begin, before);
  if (end < bytes + spare) ::munmap(begin + end, bytes + spare - end);
  // A refusal costs speed only.
  if (spare > 0) (void)::madvise(at, bytes, MADV_HUGEPAGE);
  bytes_ = {static_cast<std::byte*>(at), bytes};
}

Memory::~Memory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

std::uint64_t Vectors::bytes(std::size_t count, std::uint64_t size) {
  return count * stride(size) * sizeof(float);
}

Vectors::Vectors(std::size_t count, std::uint64_t size)
    : own_(std::make_unique<Memory>(bytes(count, size))),
      begin_(reinterpret_cast<float*>(own_->bytes().data())),
      count_(count),
      size_(size) {}

Vectors::Vectors(std::byte* at, std::size_t count, std::uint64_t size)
    : begin_(reinterpret_cast<float*>(at)), count_(count), size_(size) {}

std::span<float> Vectors::operator[](std::size_t i) const {
  if (i >= count_) fail(Exit::bug, "vector {} of {}", i, count_);
  return {begin_ + i * stride(size_), size_};
}

}  // namespace dl::comm
