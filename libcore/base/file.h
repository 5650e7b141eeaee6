// SPDX-License-Identifier: MIT
// Files that are whole or absent, files as memory, and the lock on a directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace dl {

namespace fs = std::filesystem;

// A file written under a temporary name in the same directory; commit() makes it appear:
// fsync, rename, fsync of the directory. Without commit() it never appears, and the temporary
// file is removed. A failed write or fsync throws and is never retried on the same file.
class AtomicFile {
 public:
  explicit AtomicFile(fs::path target);  // 73 where the directory does not allow it
  ~AtomicFile();
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  void write(ByteView bytes);                          // appends
  void write_at(std::uint64_t offset, ByteView bytes); // overwrites or extends, does not move the end mark
  void commit();
  const fs::path& target() const { return target_; }
  const fs::path& temporary() const { return temporary_; }  // where it is until commit()

 private:
  fs::path target_;
  fs::path temporary_;
  int fd_ = -1;
  std::uint64_t at_ = 0;
};

void write_file(const fs::path& target, std::string_view text);  // atomic

// The whole file as text; 66 where it is missing or unreadable, 65 where it is longer than `most`.
std::string read_file(const fs::path& path, std::uint64_t most);

// A read-only map of a whole file. Movable; the view stays valid while the object lives.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;

  ByteView bytes() const { return {data_, size_}; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Holds an exclusive flock on `path` (created where missing) for its life.
class FileLock {
 public:
  static std::optional<FileLock> try_lock(const fs::path& path);  // nullopt: someone else holds it
  ~FileLock();
  FileLock(FileLock&&) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace dl
