// SPDX-License-Identifier: MIT
// The files that a coordinator gives to nodes that lack them, and the pieces that they travel in.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "base/file.h"

namespace dl::coord {

// Small enough that a heartbeat behind a few of them is in time on a slow link.
inline constexpr std::uint64_t kPieceBytes = std::uint64_t{64} << 10;
// Of one node on their way at one time.
inline constexpr std::uint32_t kMostPieces = 32;

// The payload of a file_piece frame:
//   u64 offset of the piece, a multiple of kPieceBytes; u64 size of the whole file; its bytes, kPieceBytes
//   of them but in the last piece
struct FilePiece {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  Bytes bytes;
};
// 65 where the payload is not such a piece.
FilePiece decode_piece(ByteView payload);

// A closed list of files, known by their SHA-256 alone: no name or path ever comes from a peer. On the
// loop's thread; a piece is read when it is asked for, and no file is held open.
class Files {
 public:
  void add(const std::string& sha256, fs::path path);
  void add_text(const std::string& sha256, std::string text);  // one that is kept in memory

  bool has(std::string_view sha256) const { return files_.contains(sha256); }
  // The payload of a file_piece frame. 66 or 65 with the file's name where it cannot be read, or has
  // no piece that begins at `offset`: one that has become shorter. 70 for a file that is not here.
  Bytes piece(std::string_view sha256, std::uint64_t offset) const;

 private:
  struct Text {
    std::string text;
  };
  std::map<std::string, std::variant<fs::path, Text>, std::less<>> files_;
};

}  // namespace dl::coord
