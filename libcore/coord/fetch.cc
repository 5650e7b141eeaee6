// SPDX-License-Identifier: MIT
#include "coord/fetch.h"

#include "base/error.h"

namespace dl::coord {

FetchedFile::FetchedFile(std::string name, std::string sha256, std::uint64_t most)
    : name_(std::move(name)), sha256_(std::move(sha256)), most_(most) {}

std::vector<Fetch> FetchedFile::wishes() {
  std::vector<Fetch> out;
  if (!first_asked_) {
    first_asked_ = true;
    asked_ = kPieceBytes;
    out.push_back(Fetch{sha256_, 0});
  } else if (first_came_) {
    for (; asked_ < size_ && asked_ < came_ + kMostPieces * kPieceBytes; asked_ += kPieceBytes) {
      out.push_back(Fetch{sha256_, asked_});
    }
  }
  return out;
}

void FetchedFile::take(const FilePiece& piece) {
  if (!first_asked_ || whole_ || piece.offset != came_ || piece.offset >= asked_ ||
      (first_came_ && piece.size != size_)) {
    fail(Exit::disagree, "{}: the coordinator sent the piece at byte {} of {} instead of that at {} of {}", name_,
         piece.offset, piece.size, came_, size_);
  }
  if (piece.size > most_) {
    fail(Exit::data, "{}: the coordinator's file has {} bytes, and it cannot have more than {}", name_,
         piece.size, most_);
  }
  first_came_ = true;
  size_ = piece.size;
  came_ += piece.bytes.size();
  digest_.add(piece.bytes);
  if (came_ < size_) return;
  const std::string found = digest_.hex();
  if (found != sha256_) {
    fail(Exit::data, "{}: the SHA-256 of what the coordinator sent is {}, and {} was asked for; is its file damaged?",
         name_, found, sha256_);
  }
  whole_ = true;
}

}  // namespace dl::coord
