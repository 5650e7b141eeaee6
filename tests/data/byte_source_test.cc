// SPDX-License-Identifier: MIT
#include "data/byte_source.h"

#include <doctest/doctest.h>

#include <array>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filter/zstd.hpp>
#include <boost/iostreams/filtering_stream.hpp>
#include <sstream>

#include "data/fixtures.h"
#include "data/zstd_frames.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;
using namespace std::string_literals;

namespace {

template <typename Filter>
std::string packed(const std::string& text) {
  std::ostringstream out;
  {
    boost::iostreams::filtering_ostream filter;
    filter.push(Filter());
    filter.push(out);
    for (std::size_t at = 0; at < text.size(); at += 1 << 20) filter << text.substr(at, 1 << 20);
  }
  return out.str();
}

std::string gzip(const std::string& text) { return packed<boost::iostreams::gzip_compressor>(text); }
std::string zstd(const std::string& text) { return packed<boost::iostreams::zstd_compressor>(text); }

struct File {
  test::Scratch dir;
  explicit File(const std::string& bytes) { test::write_quickly(dir / "f", bytes); }
  // All of it, in pieces of `piece` bytes.
  std::string read(std::size_t piece = 1 << 16, ReadOptions options = {}) const {
    ByteSource source((dir / "f").string(), std::move(options));
    std::string all, part(piece, '\0');
    for (;;) {
      const std::size_t n = source.read(part.data(), piece);
      all.append(part, 0, n);
      if (n < piece) return all;
    }
  }
  Exit code() const { return test::complaint_of([&] { read(); }).code; }
};

const std::string kText = "the first part,";
const std::string kMore(5000, 'x');

}  // namespace

TEST_CASE("byte source: members and frames, one after the other, are one input") {
  for (const auto& pack : {&gzip, &zstd}) {
    const File file(pack(kText) + pack("") + pack(kMore));
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 16}) {
      CHECK(file.read(piece) == kText + kMore);
    }
  }
  // A frame that readers skip, before, between and behind.
  const std::string skipped = "\x53\x2a\x4d\x18\5\0\0\0abcde"s;
  CHECK(File(zstd(kText) + skipped + zstd(kMore) + skipped).read() == kText + kMore);
}

TEST_CASE("byte source: a second member or frame that is cut anywhere is refused") {
  for (const auto& pack : {&gzip, &zstd}) {
    const std::string first = pack(kText), second = pack(kMore);
    for (std::size_t n = 1; n < second.size(); ++n) {
      CAPTURE(n);
      CHECK(File(first + second.substr(0, n)).code() == Exit::data);
    }
  }
}

TEST_CASE("byte source: what is behind packed data is refused, not dropped") {
  for (const auto& pack : {&gzip, &zstd}) {
    for (const std::string& rest : {"g"s, "\0"s, "garbage, and more of it"s, std::string(4096, '\0'), "\x1f\x8b"s, "\x28\xb5\x2f\xfd"s}) {
      CAPTURE(rest);
      CHECK(File(pack(kText) + rest).code() == Exit::data);
    }
  }
}

// Boost's zstd frames have no checksum, so that only gzip can promise this.
TEST_CASE("byte source: damage is refused, or does not change what was packed") {
  const std::string whole = gzip(kText + kMore);
  for (std::size_t i = 4; i < whole.size(); ++i) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 0x55);
    CAPTURE(i);
    std::string text;
    const auto complaint = test::complaint_of([&] { text = File(bad).read(); });
    CHECK((complaint.code == Exit::data || text == kText + kMore));
  }
}

TEST_CASE("byte source: peeking takes nothing away") {
  for (const std::string& bytes : {kText + kMore, gzip(kText + kMore), zstd(kText + kMore)}) {
    const File file(bytes);
    ByteSource source((file.dir / "f").string());
    CHECK(source.peek(3) == "the");
    CHECK(source.peek(9) == "the first");
    CHECK(source.peek(3) == "the");
    std::string text(12, '\0');
    CHECK(source.read(text.data(), 4) == 4);
    CHECK(source.peek(5) == "first");
    CHECK(source.peek(1 << 20).size() == kText.size() + kMore.size() - 4);
    CHECK(source.read(text.data(), 12) == 12);
    CHECK(text == "first part,x");
  }
  CHECK(File("").read().empty());
  const File empty("");
  CHECK(ByteSource((empty.dir / "f").string()).peek(10).empty());
}

TEST_CASE("byte source: what expands too much is refused once there is a lot of it") {
  const auto size_of = [](const File& file, std::uint64_t max_expansion) {
    ByteSource source((file.dir / "f").string(), {{}, max_expansion});
    std::string part(1 << 20, '\0');
    std::uint64_t size = 0;
    while (const std::size_t n = source.read(part.data(), part.size())) size += n;
    return size;
  };
  const std::string free(kExpansionIsFree, '\0');
  for (const auto& pack : {&gzip, &zstd}) {
    const std::string much = pack(free);
    CHECK(size_of(File(much), 1) == kExpansionIsFree);  // whatever the ratio
    const File bomb(much + pack("one byte more is too much"));
    const auto complaint = test::complaint_of([&] { size_of(bomb, 100); });
    CHECK(complaint.code == Exit::data);
    CHECK(test::contains(complaint.text, "f: unpacks to more than 100 times its size"));
    CHECK(test::contains(complaint.text, "--max-expansion 1000"));
    CHECK(size_of(bomb, 1000000) > kExpansionIsFree);
    CHECK(test::complaint_of([&] { size_of(bomb, ReadOptions().max_expansion); }).code == Exit::data);
  }
}

TEST_CASE("zstd frames: borders are known, however the bytes come") {
  const std::string whole = zstd(kText) + zstd(kMore);
  const std::size_t border = zstd(kText).size();
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    ZstdFrames at_once, by_bytes;
    at_once.follow(std::string_view(whole).substr(0, n));
    for (std::size_t i = 0; i < n; ++i) by_bytes.follow({&whole[i], 1});
    CHECK(at_once.at_border() == (n == 0 || n == border || n == whole.size()));
    CHECK(by_bytes.at_border() == at_once.at_border());
  }
  // Headers of all sizes: descriptor, what it announces, one empty last block, a checksum.
  for (unsigned descriptor = 0; descriptor < 256; ++descriptor) {
    const unsigned dictionary = (descriptor & 3) == 3 ? 4 : descriptor & 3;
    const bool single = descriptor & 0x20;
    const unsigned content = descriptor >> 6 ? 1U << (descriptor >> 6) : single;
    const std::string frame = "\x28\xb5\x2f\xfd"s + static_cast<char>(descriptor) +
                              std::string(!single + dictionary + content, '\1') + "\1\0\0"s +
                              std::string(descriptor & 4 ? 4 : 0, 'c');
    ZstdFrames frames;
    frames.follow(std::string_view(frame).substr(0, frame.size() - 1));
    CHECK(!frames.at_border());
    frames.follow(std::string_view(frame).substr(frame.size() - 1));
    CHECK(frames.at_border());
  }
}
