// SPDX-License-Identifier: MIT
// IDX, the format of MNIST and its kin: images, and labels in a file of their own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/byte_source.h"
#include "data/row_source.h"

namespace dl::data {

// One IDX file: bytes 0 0 TYPE DIMENSIONS, a big-endian uint32 per dimension, then the values,
// big-endian. The first dimension counts samples. Types: 08 uint8, 09 int8, 0B int16, 0C int32,
// 0D float32, 0E float64.
class IdxFile {
 public:
  // 66 where it cannot be read, 65 where it does not begin as IDX does.
  IdxFile(const std::string& file, std::function<void()> interrupted);

  std::uint64_t samples() const { return samples_; }
  const std::vector<std::uint32_t>& shape() const { return shape_; }  // of one sample
  std::uint32_t values() const { return values_; }                    // of one sample
  const ByteSource& source() const { return source_; }
  // The next sample. 65 where the file ends before the samples that its header promises, has more
  // behind them, or holds NaN or infinity; false behind the last.
  bool next(double* values);

 private:
  ByteSource source_;
  unsigned type_ = 0, size_ = 1;
  std::vector<std::uint32_t> shape_;
  std::uint64_t samples_ = 0, done_ = 0;
  std::uint32_t values_ = 1;
  std::string bytes_;  // of one sample
};

// Samples of image files, one file after the other, with the labels of one file beside them. Samples
// are numbered from 0 in each file.
class IdxReader : public RowSource {
 public:
  // `labels` empty: there are none. All image files must have the same shape (65).
  IdxReader(std::vector<std::string> files, const std::string& labels,
            std::function<void()> interrupted = {});

  const std::vector<std::uint32_t>& shape() const { return images_->shape(); }

  std::uint32_t width() const override { return images_->values(); }
  bool next(double* values, std::string_view& label) override;
  std::string place() const override;
  std::string label_place() const override { return "the label"; }
  std::uint64_t packed_bytes() const override;

 private:
  std::vector<std::string> files_;
  std::function<void()> interrupted_;
  std::size_t file_ = 0;
  std::optional<IdxFile> images_;
  std::optional<IdxFile> labels_;
  std::uint64_t row_ = 0;  // samples read of the open file
  std::uint64_t packed_before_ = 0;
  std::string label_;
};

// Whether the file begins as an IDX file does (after unpacking). Only for regular files: it reads.
bool looks_like_idx(const std::string& file);

}  // namespace dl::data
