// SPDX-License-Identifier: MIT
// A shard file, read through mmap (dl-shard(5)).
#pragma once

#include <cstdint>
#include <span>

#include "base/file.h"
#include "data/manifest.h"
#include "data/shard_format.h"

namespace dl::data {

// Rows of transformed features (float32, row-major) with their target and weight.
class Shard {
 public:
  // Maps the file; checks the header, the size and every block's checksum (65 with file and offset).
  // The whole-file digest is the manifest's matter: verify_digest().
  explicit Shard(const fs::path& path);

  std::uint32_t rows() const { return shape_.rows; }
  std::uint32_t features() const { return shape_.features; }
  std::uint32_t targets() const { return shape_.targets; }  // numbers per row (regression), else 0
  std::uint32_t classes() const { return shape_.classes; }  // classification, else 0
  bool has_weights() const { return shape_.weights; }
  std::span<const float> row(std::uint32_t i) const;   // features() floats; lives as long as the shard
  std::uint32_t label(std::uint32_t i) const;          // classification
  std::span<const float> numbers(std::uint32_t i) const;  // regression
  float weight(std::uint32_t i) const;                 // 1 where there are none

 private:
  struct Place {
    std::uint64_t block = 0;   // offset of the row's block
    std::uint32_t rows = 0;    // of that block
    std::uint32_t inside = 0;  // the row's place in it
  };
  Place place(std::uint32_t i) const;
  void check_block(std::uint32_t block) const;

  MappedFile file_;
  ShardShape shape_;
  std::uint64_t block_stride_ = 0;
};

// A file of a manifest: 65 with its name where its digest, rows, features or targets are not those.
Shard open_shard(const fs::path& directory, const ShardEntry& entry, const Schema& schema);

// 65 with the file's name where its SHA-256 is not the entry's.
void verify_digest(const fs::path& directory, const ShardEntry& entry);

}  // namespace dl::data
