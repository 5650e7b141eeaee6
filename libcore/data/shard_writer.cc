// SPDX-License-Identifier: MIT
#include "data/shard_writer.h"

#include <algorithm>

#include "base/error.h"

namespace dl::data {

namespace {

template <typename T>
void append(Bytes& out, const std::vector<T>& values) {
  const ByteView bytes = std::as_bytes(std::span(values));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

ShardShape with_block_rows(ShardShape shape) {
  if (shape.block_rows == 0) shape.block_rows = usual_block_rows(shape.features);
  return shape;
}

}  // namespace

ShardWriter::ShardWriter(const fs::path& path, ShardShape shape)
    : file_(path), shape_(with_block_rows(shape)), class_counts_(shape.classes) {
  const std::uint32_t most = std::min(shape_.block_rows, std::max(shape_.rows, 1U));
  block_.resize(std::size_t{most} * shape_.features);
  write(encode_shard_header(shape_));
}

void ShardWriter::end_row(std::uint32_t label, float weight) {
  if (label >= shape_.classes) fail(Exit::bug, "class code {} of {}", label, shape_.classes);
  ++class_counts_[label];
  labels_.push_back(label);
  end_row(weight);
}

void ShardWriter::end_row(std::span<const float> numbers, float weight) {
  if (numbers.size() != shape_.targets) fail(Exit::bug, "a row of {} numbers", numbers.size());
  numbers_.insert(numbers_.end(), numbers.begin(), numbers.end());
  end_row(weight);
}

void ShardWriter::end_row(float weight) {
  if (shape_.weights) weights_.push_back(weight);
  ++rows_;
  if (rows_ > shape_.rows) fail(Exit::bug, "{}: a row too many", file_.target().string());
  if (++in_block_ == shape_.block_rows || rows_ == shape_.rows) write_block();
}

void ShardWriter::write_block() {
  const ByteView features =
      std::as_bytes(std::span(block_).first(std::size_t{in_block_} * shape_.features));
  tail_.clear();
  append(tail_, labels_);
  append(tail_, numbers_);
  append(tail_, weights_);
  tail_.resize(shape_.block_bytes(in_block_) - features.size() - 4);
  std::uint32_t sum = block_checksum(blocks_, features);
  sum = crc32c(tail_, sum);
  put(tail_, sum);
  write(features);
  write(tail_);
  labels_.clear();
  numbers_.clear();
  weights_.clear();
  in_block_ = 0;
  ++blocks_;
}

void ShardWriter::write(ByteView bytes) {
  digest_.add(bytes);
  file_.write(bytes);
}

ShardEntry ShardWriter::commit() {
  if (rows_ != shape_.rows) {
    fail(Exit::bug, "{}: {} rows of {}", file_.target().string(), rows_, shape_.rows);
  }
  file_.commit();
  return {file_.target().filename().string(), shape_.rows, digest_.hex(), class_counts_};
}

}  // namespace dl::data
