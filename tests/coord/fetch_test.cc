// SPDX-License-Identifier: MIT
// Files in pieces, without a network.
#include "coord/fetch.h"

#include <doctest/doctest.h>

#include <functional>

#include "base/error.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::coord;

namespace {

std::string contents(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

// Fetches a file piece by piece; what came.
std::string fetched(const Files& files, const std::string& sha256, std::uint64_t most, std::size_t* open = nullptr) {
  FetchedFile file("it", sha256, most);
  std::string came;
  std::vector<Fetch> wishes = file.wishes();
  while (!wishes.empty()) {
    if (open != nullptr) *open = std::max(*open, wishes.size());
    const Fetch wish = wishes.front();
    wishes.erase(wishes.begin());
    const FilePiece piece = decode_piece(files.piece(wish.sha256, wish.offset));
    file.take(piece);
    came.append(reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size());
    for (Fetch& more : file.wishes()) wishes.push_back(std::move(more));
  }
  CHECK(file.whole());
  return came;
}

Exit code_of(const std::function<void()>& work, const std::string& words) {
  try {
    work();
  } catch (const Error& error) {
    CHECK_MESSAGE(std::string(error.what()).find(words) != std::string::npos, error.what());
    return error.code();
  }
  return Exit::ok;
}

}  // namespace

TEST_CASE("fetch: files of any size come whole, from disk and from memory, few pieces at a time") {
  const test::Scratch dir;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kPieceBytes - 1, kPieceBytes, kPieceBytes + 1,
                                 12 * kPieceBytes + 5}) {
    CAPTURE(size);
    const std::string text = contents(size);
    const std::string sha256 = sha256_hex(as_bytes_of(text));
    write_file(dir / "a", text);
    Files disk, memory;
    disk.add(sha256, dir / "a");
    memory.add_text(sha256, text);
    std::size_t open = 0;
    CHECK(fetched(disk, sha256, size, &open) == text);
    CHECK(fetched(memory, sha256, size) == text);
    CHECK(open <= kMostPieces);
  }
}

TEST_CASE("fetch: another file than the digest says is 65, and one that is too long at its first piece") {
  const std::string text = contents(3 * kPieceBytes), other = contents(3 * kPieceBytes - 7);
  const std::string sha256 = sha256_hex(as_bytes_of(text));
  Files files;
  files.add_text(sha256, other);
  CHECK(code_of([&] { fetched(files, sha256, text.size()); }, sha256) == Exit::data);
  FetchedFile file("it", sha256, 1000);
  file.wishes();
  CHECK(code_of([&] { file.take(decode_piece(files.piece(sha256, 0))); }, "more than 1000") == Exit::data);
}

TEST_CASE("fetch: pieces in another order, twice, unasked or of a file of another size are 76") {
  const std::string text = contents(4 * kPieceBytes);
  const std::string sha256 = sha256_hex(as_bytes_of(text));
  Files files;
  files.add_text(sha256, text);
  const auto piece = [&](std::uint64_t n) { return decode_piece(files.piece(sha256, n * kPieceBytes)); };
  FetchedFile unasked("it", sha256, text.size());
  CHECK(code_of([&] { unasked.take(piece(0)); }, "it: ") == Exit::disagree);
  FetchedFile file("it", sha256, text.size());
  file.wishes();
  CHECK(code_of([&] { file.take(piece(1)); }, "instead of that at 0") == Exit::disagree);
  file.take(piece(0));
  CHECK(code_of([&] { file.take(piece(1)); }, "it: ") == Exit::disagree);  // not asked for yet
  CHECK(file.wishes().size() == 3);
  CHECK(code_of([&] { file.take(piece(0)); }, "it: ") == Exit::disagree);
  FilePiece grown = piece(1);
  grown.size += 1;
  CHECK(code_of([&] { file.take(grown); }, "it: ") == Exit::disagree);
}

TEST_CASE("fetch: every truncation and a trailing byte of a piece are refused") {
  Files files;
  files.add_text("a", "some text");
  const Bytes good = files.piece("a", 0);
  CHECK(decode_piece(good).bytes.size() == 9);
  for (std::size_t n = 0; n < good.size(); ++n) {
    CHECK(code_of([&] { decode_piece(ByteView(good).first(n)); }, "") == Exit::data);
  }
  Bytes longer = good;
  longer.push_back(std::byte{0});
  CHECK(code_of([&] { decode_piece(longer); }, "") == Exit::data);
}

TEST_CASE("files: one that is gone is 66, one that became shorter 65, both with its name") {
  const test::Scratch dir;
  write_file(dir / "a", contents(2 * kPieceBytes));
  Files files;
  files.add("x", dir / "a");
  CHECK(files.has("x"));
  CHECK_FALSE(files.has("a"));
  CHECK(decode_piece(files.piece("x", kPieceBytes)).bytes.size() == kPieceBytes);
  write_file(dir / "a", contents(kPieceBytes));
  CHECK(code_of([&] { files.piece("x", kPieceBytes); }, (dir / "a").string()) == Exit::data);
  fs::remove(dir / "a");
  CHECK(code_of([&] { files.piece("x", 0); }, (dir / "a").string()) == Exit::no_input);
}
