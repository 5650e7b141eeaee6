// SPDX-License-Identifier: MIT
// gzip, zstd, or neither: the bytes do not depend on how they are asked for.
#include <algorithm>

#include "data/byte_source.h"
#include "target.h"

namespace {

// The first byte chooses the sizes of reads.
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
  if (size == 0) return 0;
  const fuzz::MemoryFile file(fuzz::text_of(data + 1, size - 1));
  std::string at_once, in_pieces;
  const bool whole = fuzz::accepted([&] { at_once = read_all(file.path(), 1 << 16, 0); });
  const bool parts = fuzz::accepted([&] { in_pieces = read_all(file.path(), 1 + data[0], data[0] * 16U); });
  fuzz::must(whole == parts, "what is refused is refused whatever the reads");
  const std::size_t common = std::min(at_once.size(), in_pieces.size());
  fuzz::must(!whole || at_once.substr(0, common) == in_pieces.substr(0, common), "the same bytes whatever the reads");
  return 0;
}
