// SPDX-License-Identifier: MIT
#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "base/directory.h"
#include "base/error.h"

namespace dl {

namespace {

Exit exit_for_create(int error_number) {
  return error_number == EMFILE || error_number == ENFILE ? Exit::io : Exit::cannot_create;
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

void sync_directory(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_errno(Exit::io, errno, directory.string());
  const int result = ::fsync(fd);
  const int error_number = errno;
  ::close(fd);
  if (result != 0) fail_errno(Exit::io, error_number, directory.string() + ": fsync");
}

AtomicFile::AtomicFile(fs::path target) : target_(std::move(target)) {
  static std::atomic<unsigned> serial{0};  // two files of one process under one name
  temporary_ = parent_of(target_) / fmt::format(".{}.{}.{}.tmp", target_.filename().string(),
                                                ::getpid(), serial.fetch_add(1));
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_errno(exit_for_create(errno), errno, target_.string() + ": cannot create");
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      at_(other.at_) {}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(ByteView bytes) {
  write_at(at_, bytes);
  // Whole pieces go to the disk meanwhile, so that fsync has little left to wait for; it alone tells
  // whether that went well.
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
  const std::uint64_t begin = at_ / kPiece * kPiece;
  at_ += bytes.size();
  const std::uint64_t end = at_ / kPiece * kPiece;
  if (end > begin) {
    ::sync_file_range(fd_, static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                      SYNC_FILE_RANGE_WRITE);
  }
}

void AtomicFile::write_at(std::uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      fail_errno(Exit::io, errno, target_.string() + ": write");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) fail_errno(Exit::io, errno, target_.string() + ": fsync");
  if (::close(std::exchange(fd_, -1)) != 0) {
    const int error_number = errno;
    ::unlink(temporary_.c_str());
    fail_errno(Exit::io, error_number, target_.string() + ": close");
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int error_number = errno;
    ::unlink(temporary_.c_str());
    fail_errno(Exit::io, error_number, target_.string() + ": rename");
  }
  sync_directory(parent_of(target_));
}

void write_file(const fs::path& target, std::string_view text) {
  AtomicFile file(target);
  file.write(as_bytes_of(text));
  file.commit();
}

std::string read_file(const fs::path& path, std::uint64_t most) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(Exit::no_input, errno, path.string());
  std::string text;
  std::array<char, 65536> chunk{};
  for (;;) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error_number = errno;
      ::close(fd);
      fail_errno(Exit::no_input, error_number, path.string());
    }
    if (n == 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(n));
    if (text.size() > most) {
      ::close(fd);
      fail(Exit::data, "{}: longer than the {} bytes such a file may have", path.string(), most);
    }
  }
  ::close(fd);
  return text;
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(Exit::no_input, errno, path.string());
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    fail(Exit::no_input, "{}: not a regular file", path.string());
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > 0) {
    void* at = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
      const int error_number = errno;
      ::close(fd);
      fail_errno(Exit::no_input, error_number, path.string() + ": mmap");
    }
    data_ = static_cast<const std::byte*>(at);
  }
  ::close(fd);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::optional<FileLock> FileLock::try_lock(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) fail_errno(exit_for_create(errno), errno, path.string());
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return FileLock(fd);
  const int error_number = errno;
  ::close(fd);
  if (error_number == EWOULDBLOCK) return std::nullopt;
  fail_errno(Exit::io, error_number, path.string() + ": flock");
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace dl
