// SPDX-License-Identifier: MIT
#include "coord/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"

namespace dl::coord {

namespace {

constexpr std::size_t kPrefixBytes = 16;

std::uint64_t length_at(std::uint64_t offset, std::uint64_t size) {
  return std::min(kPieceBytes, size - offset);
}

// Begins the payload of a piece, and makes room for its bytes.
Bytes begin_piece(std::uint64_t offset, std::uint64_t size, const std::string& what) {
  if (offset % kPieceBytes != 0 || offset > size || (offset == size && size > 0)) {
    fail(Exit::data, "{}: a node wants the piece at byte {} of {}; has the file changed?", what, offset,
         size);
  }
  Bytes out;
  out.reserve(kPrefixBytes + length_at(offset, size));
  put(out, offset);
  put(out, size);
  out.resize(kPrefixBytes + length_at(offset, size));
  return out;
}

class OpenFile {
 public:
  explicit OpenFile(const fs::path& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) fail_errno(Exit::no_input, errno, path.string());
  }
  ~OpenFile() { ::close(fd_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  std::uint64_t size() const {
    struct stat about {};
    if (::fstat(fd_, &about) != 0) fail_errno(Exit::no_input, errno, path_.string());
    return static_cast<std::uint64_t>(about.st_size);
  }
  void read(std::span<std::byte> to, std::uint64_t offset) const {
    while (!to.empty()) {
      const ssize_t n = ::pread(fd_, to.data(), to.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_errno(Exit::no_input, errno, path_.string());
      if (n == 0) fail(Exit::data, "{}: ends at byte {}; it became shorter while it was read", path_.string(), offset);
      to = to.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
  }

 private:
  const fs::path& path_;
  int fd_;
};

}  // namespace

FilePiece decode_piece(ByteView payload) {
  ByteReader reader(payload, "a file_piece frame");
  FilePiece piece;
  piece.offset = reader.get<std::uint64_t>();
  piece.size = reader.get<std::uint64_t>();
  if (piece.offset % kPieceBytes != 0 || piece.offset > piece.size ||
      reader.left() != length_at(piece.offset, piece.size)) {
    fail(Exit::data, "a piece of {} bytes at byte {} of a file of {}", reader.left(), piece.offset, piece.size);
  }
  const ByteView bytes = reader.take(reader.left());
  piece.bytes.assign(bytes.begin(), bytes.end());
  return piece;
}

void Files::add(const std::string& sha256, fs::path path) { files_.insert_or_assign(sha256, std::move(path)); }

void Files::add_text(const std::string& sha256, std::string text) {
  files_.insert_or_assign(sha256, Text{std::move(text)});
}

Bytes Files::piece(std::string_view sha256, std::uint64_t offset) const {
  const auto found = files_.find(sha256);
  if (found == files_.end()) fail(Exit::bug, "no file {} is served here", shown(sha256));
  if (const auto* held = std::get_if<Text>(&found->second)) {
    Bytes out = begin_piece(offset, held->text.size(), "the manifest");
    const ByteView from = as_bytes_of(held->text).subspan(offset, out.size() - kPrefixBytes);
    std::copy(from.begin(), from.end(), out.begin() + kPrefixBytes);
    return out;
  }
  const auto& path = std::get<fs::path>(found->second);
  const OpenFile file(path);
  Bytes out = begin_piece(offset, file.size(), path.string());
  file.read(std::span(out).subspan(kPrefixBytes), offset);
  return out;
}

}  // namespace dl::coord
