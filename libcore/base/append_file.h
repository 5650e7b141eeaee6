// SPDX-License-Identifier: MIT
// A file that grows by whole records: a ledger, a log.
#pragma once

#include <cstdint>

#include "base/file.h"

namespace dl {

// Owned by one; not for several threads at once. A record that the disk has no room for leaves nothing behind, and
// may be tried again. Once an fsync has failed nothing more is written, since nobody knows what is on the disk.
class AppendFile {
 public:
  explicit AppendFile(fs::path path);  // made where it is missing, its name synchronised too; 73 where it cannot be
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  std::uint64_t size() const { return size_; }
  const fs::path& path() const { return path_; }

  void append(ByteView record);     // 74
  void cut(std::uint64_t size);     // what is behind is gone; 74
  void sync();                      // all of it is on the disk when this returns; 74

 private:
  void check() const;

  fs::path path_;
  std::uint64_t size_ = 0;
  bool synced_ = false, failed_ = false;
  int fd_ = -1;
};

}  // namespace dl
