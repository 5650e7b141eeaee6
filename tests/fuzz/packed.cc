// SPDX-License-Identifier: MIT
// gzip, zstd, or neither: the bytes do not depend on how they are asked for.
#include <fcntl.h>

#include <algorithm>

#include "data/byte_source.h"
#include "target.h"

namespace {

// Bytes that can be read once. What comes from a pipe is unpacked by who reads it, a file's bytes by a
// thread that reads ahead, which takes a hundred times as long for a small input.
class MemoryPipe {
 public:
  explicit MemoryPipe(std::string_view bytes) {
    int ends[2];
    dl::fuzz::must(::pipe2(ends, O_CLOEXEC) == 0, "there is a pipe");
    ::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    const ssize_t written = ::write(ends[1], bytes.data(), bytes.size());
    dl::fuzz::must(written == static_cast<ssize_t>(bytes.size()), "a pipe takes a small input");
    ::close(ends[1]);
    fd_ = ends[0];
  }
  ~MemoryPipe() { ::close(fd_); }
  MemoryPipe(const MemoryPipe&) = delete;
  MemoryPipe& operator=(const MemoryPipe&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

std::string read_all(const std::string& file, std::size_t piece, std::size_t peeked) {
  dl::data::ReadOptions options;
  options.max_expansion = 100;
  dl::data::ByteSource source(file, options);
  std::string all, part(piece, '\0');
  const std::string head(source.peek(peeked));
  while (all.size() < (std::size_t{1} << 22)) {
    const std::size_t n = source.read(part.data(), piece);
    all.append(part, 0, n);
    if (n < piece) break;
  }
  dl::fuzz::must(all.substr(0, head.size()) == head.substr(0, all.size()), "what was peeked at is read");
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  if (size == 0 || size > 1 << 16) return 0;
  const auto bytes = fuzz::text_of(data + 1, size - 1);
  const fuzz::MemoryFile file(bytes);
  const MemoryPipe first(bytes), second(bytes);
  const bool ahead = data[0] % 64 == 0;
  std::string at_once, in_pieces;
  // The first byte chooses the sizes of reads.
  const bool whole = fuzz::accepted([&] { at_once = read_all(first.path(), 1 << 16, 0); });
  const bool parts = fuzz::accepted([&] {
    in_pieces = read_all(ahead ? file.path() : second.path(), 1 + data[0], data[0] * 16U);
  });
  fuzz::must(whole == parts, "what is refused is refused whatever the reads");
  const std::size_t common = std::min(at_once.size(), in_pieces.size());
  fuzz::must(!whole || at_once.substr(0, common) == in_pieces.substr(0, common), "the same bytes whatever the reads");
  return 0;
}
