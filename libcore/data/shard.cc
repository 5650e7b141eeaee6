// SPDX-License-Identifier: MIT
#include "data/shard.h"

#include <cstring>

#include "base/error.h"
#include "base/hash.h"

namespace dl::data {

namespace {

template <typename T>
const T* at(ByteView bytes, std::uint64_t offset) {
  return reinterpret_cast<const T*>(bytes.data() + offset);
}

}  // namespace

Shard::Shard(const fs::path& path)
    : file_(path),
      shape_(decode_shard_header(file_.bytes(), file_.bytes().size(), path.string())),
      block_stride_(shape_.block_bytes(shape_.block_rows)) {
  for (std::uint32_t block = 0; block < shape_.blocks(); ++block) check_block(block);
}

void Shard::check_block(std::uint32_t block) const {
  const std::uint64_t offset = kShardHeaderBytes + block * block_stride_;
  const std::uint32_t rows = shape_.rows_in(block);
  const ByteView bytes = file_.bytes().subspan(offset, shape_.block_bytes(rows));
  std::uint32_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - 4, 4);
  if (block_checksum(block, bytes.first(bytes.size() - 4)) != sum) {
    fail(Exit::data, "{}: offset {}: the checksum of block {} is wrong; the file is damaged",
         file_.path().string(), offset, block);
  }
  if (shape_.classes == 0) return;
  const auto* labels = at<std::uint32_t>(bytes, std::uint64_t{4} * rows * shape_.features);
  for (std::uint32_t i = 0; i < rows; ++i) {
    if (labels[i] >= shape_.classes) {
      fail(Exit::data, "{}: offset {}: row {} has class {} of {}", file_.path().string(), offset,
           block * shape_.block_rows + i, labels[i], shape_.classes);
    }
  }
}

Shard::Place Shard::place(std::uint32_t i) const {
  const std::uint32_t block = i / shape_.block_rows;
  return {kShardHeaderBytes + block * block_stride_, shape_.rows_in(block), i % shape_.block_rows};
}

std::span<const float> Shard::row(std::uint32_t i) const {
  const std::uint64_t block = i / shape_.block_rows;
  const std::uint64_t inside = i % shape_.block_rows;
  return {at<float>(file_.bytes(),
                    kShardHeaderBytes + block * block_stride_ + 4 * inside * shape_.features),
          shape_.features};
}

std::uint32_t Shard::label(std::uint32_t i) const {
  const Place place = this->place(i);
  return at<std::uint32_t>(file_.bytes(), place.block + std::uint64_t{4} * place.rows *
                                                            shape_.features)[place.inside];
}

std::span<const float> Shard::numbers(std::uint32_t i) const {
  const Place place = this->place(i);
  const std::uint64_t begin = place.block + std::uint64_t{4} * place.rows * shape_.features;
  return {at<float>(file_.bytes(), begin + std::uint64_t{4} * place.inside * shape_.targets),
          shape_.targets};
}

float Shard::weight(std::uint32_t i) const {
  if (!shape_.weights) return 1;
  const Place place = this->place(i);
  const std::uint64_t per_row = shape_.row_bytes() - 4;
  return at<float>(file_.bytes(), place.block + place.rows * per_row)[place.inside];
}

Shard open_shard(const fs::path& directory, const ShardEntry& entry, const Schema& schema) {
  verify_digest(directory, entry);
  Shard shard(directory / entry.file);
  const bool classes = schema.task == Task::classification;
  const std::uint32_t outputs = classes ? shard.classes() : shard.targets();
  if (shard.rows() != entry.samples || shard.features() != schema.features() || outputs != schema.outputs()) {
    fail(Exit::data, "{}: holds {} rows of {} features and {} {}, but its manifest says {} of {} and {}",
         (directory / entry.file).string(), shard.rows(), shard.features(), outputs,
         classes ? "classes" : "numbers to predict", entry.samples, schema.features(), schema.outputs());
  }
  return shard;
}

void verify_digest(const fs::path& directory, const ShardEntry& entry) {
  const fs::path path = directory / entry.file;
  const std::string found = sha256_of_file(path);
  if (found != entry.sha256) {
    fail(Exit::data, "{}: its SHA-256 is {}, but the manifest says {}; make the shards again",
         path.string(), found, entry.sha256);
  }
}

}  // namespace dl::data
