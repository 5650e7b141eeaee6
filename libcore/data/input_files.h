// SPDX-License-Identifier: MIT
// The files of an input, read one after the other.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/byte_source.h"

namespace dl::data {

// At least one file's name, and how all of them are opened. Looking at the head of the first one takes
// nothing away from who opens it, so that a pipe's format is told from its content as a file's is.
class InputFiles {
 public:
  InputFiles(std::vector<std::string> names, ReadOptions options = {})
      : names_(std::move(names)), options_(std::move(options)) {}
  InputFiles(std::initializer_list<std::string> names) : names_(names) {}

  std::size_t size() const { return names_.size(); }
  const std::string& operator[](std::size_t file) const { return names_[file]; }

  // Up to `most` bytes that the first file begins with, unpacked. Before open(0) only.
  std::string_view head(std::size_t most) {
    if (!first_) first_.emplace(names_[0], options_);
    return first_->peek(most);
  }
  ByteSource open(std::size_t file) {
    if (file > 0 || !first_) return open(names_[file]);
    ByteSource source = std::move(*first_);
    first_.reset();
    return source;
  }
  // A file that stands beside them.
  ByteSource open(const std::string& name) const { return ByteSource(name, options_); }

 private:
  std::vector<std::string> names_;
  ReadOptions options_;
  std::optional<ByteSource> first_;
};

}  // namespace dl::data
