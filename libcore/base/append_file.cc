// SPDX-License-Identifier: MIT
#include "base/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/directory.h"
#include "base/error.h"

namespace dl {

AppendFile::AppendFile(fs::path path) : path_(std::move(path)) {
  const bool fresh = !fs::exists(path_);
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_errno(Exit::cannot_create, errno, path_.string());
  try {
    const off_t end = ::lseek(fd_, 0, SEEK_END);
    if (end < 0) fail_errno(Exit::io, errno, path_.string());
    size_ = static_cast<std::uint64_t>(end);
    if (fresh) sync_directory(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::check() const {
  if (failed_) fail(Exit::io, "{}: it could not be synchronised before", path_.string());
}

void AppendFile::append(ByteView record) {
  check();
  for (std::size_t at = 0; at < record.size();) {
    const ssize_t n = ::write(fd_, record.data() + at, record.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) {
      at += static_cast<std::size_t>(n);
      continue;
    }
    const int error_number = n < 0 ? errno : ENOSPC;
    if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) failed_ = true;
    fail_errno(Exit::io, error_number, path_.string() + ": write");
  }
  synced_ = false;
  size_ += record.size();
}

void AppendFile::cut(std::uint64_t size) {
  check();
  if (size == size_) return;
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) fail_errno(Exit::io, errno, path_.string() + ": truncate");
  synced_ = false;
  size_ = size;
}

void AppendFile::sync() {
  check();
  if (synced_) return;
  if (::fsync(fd_) != 0) {
    failed_ = true;
    fail_errno(Exit::io, errno, path_.string() + ": fsync");
  }
  synced_ = true;
}

}  // namespace dl
