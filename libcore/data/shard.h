// SPDX-License-Identifier: MIT
// A shard file, read through mmap (dl-shard(5)).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/file.h"
#include "data/manifest.h"

namespace dl::data {

// Rows of transformed features (float32, row-major) with their target and weight.
class Shard {
 public:
  // Maps the file; checks the header, the size and every block's checksum (65 with file and offset).
  // The whole-file digest is the manifest's matter: verify_digest().
  explicit Shard(const fs::path& path);

  std::uint32_t rows() const;
  std::uint32_t features() const;
  std::uint32_t targets() const;                       // numbers per row (regression), else 0
  bool has_weights() const;
  std::span<const float> row(std::uint32_t i) const;   // features() floats; lives as long as the shard
  std::uint32_t label(std::uint32_t i) const;          // classification
  std::span<const float> numbers(std::uint32_t i) const;  // regression
  float weight(std::uint32_t i) const;                 // 1 where there are none

 private:
  MappedFile file_;
  std::uint32_t rows_ = 0, features_ = 0, targets_ = 0, block_rows_ = 0;
  bool classes_ = false, weights_ = false;
  std::uint64_t data_offset_ = 0, block_stride_ = 0;
};

// 65 with the file's name where its SHA-256 is not the entry's.
void verify_digest(const fs::path& directory, const ShardEntry& entry);

}  // namespace dl::data
