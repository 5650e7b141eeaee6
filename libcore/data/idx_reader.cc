// SPDX-License-Identifier: MIT
#include "data/idx_reader.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "data/schema.h"

namespace dl::data {

namespace {

constexpr unsigned kMostDimensions = 8;

// Bytes of a value; 0: no such type.
unsigned size_of_type(unsigned type) {
  switch (type) {
    case 0x08:
    case 0x09: return 1;
    case 0x0b: return 2;
    case 0x0c:
    case 0x0d: return 4;
    case 0x0e: return 8;
    default: return 0;
  }
}

template <typename Whole>
Whole big_endian(const char* from) {
  Whole value = 0;
  for (std::size_t i = 0; i < sizeof(Whole); ++i) {
    value = static_cast<Whole>((value << 8) | static_cast<unsigned char>(from[i]));
  }
  return value;
}

double decode(unsigned type, const char* from) {
  switch (type) {
    case 0x08: return static_cast<unsigned char>(*from);
    case 0x09: return static_cast<signed char>(*from);
    case 0x0b: return static_cast<std::int16_t>(big_endian<std::uint16_t>(from));
    case 0x0c: return static_cast<std::int32_t>(big_endian<std::uint32_t>(from));
    case 0x0d: return static_cast<double>(std::bit_cast<float>(big_endian<std::uint32_t>(from)));
    default: return std::bit_cast<double>(big_endian<std::uint64_t>(from));
  }
}

}  // namespace

IdxFile::IdxFile(const std::string& file, std::function<void()> interrupted)
    : source_(file, std::move(interrupted)) {
  std::array<char, 4 * (1 + kMostDimensions)> head{};
  const std::string& name = source_.name();
  if (const std::size_t n = source_.read(head.data(), 4); n < 4) {
    fail(Exit::data, "{}: {}", name, n == 0 ? "is empty" : "too short to be IDX");
  }
  type_ = static_cast<unsigned char>(head[2]);
  size_ = size_of_type(type_);
  const unsigned dimensions = static_cast<unsigned char>(head[3]);
  if (head[0] != 0 || head[1] != 0 || size_ == 0 || dimensions == 0 ||
      dimensions > kMostDimensions) {
    fail(Exit::data, "{}: not IDX: it begins with bytes {:02x} {:02x} {:02x} {:02x}", name,
         static_cast<unsigned char>(head[0]), static_cast<unsigned char>(head[1]), type_,
         dimensions);
  }
  if (source_.read(head.data(), 4 * dimensions) < 4 * dimensions) {
    fail(Exit::data, "{}: ends inside its IDX header", name);
  }
  samples_ = big_endian<std::uint32_t>(head.data());
  std::uint64_t values = 1;
  for (unsigned i = 1; i < dimensions; ++i) {
    shape_.push_back(big_endian<std::uint32_t>(head.data() + 4 * i));
    values *= shape_.back();
    if (values == 0 || values > kMostFeatures) {
      fail(Exit::data, "{}: its IDX header gives a sample no values, or more than {}", name,
           kMostFeatures);
    }
  }
  values_ = static_cast<std::uint32_t>(values);
  bytes_.resize(std::size_t{values_} * size_);
}

bool IdxFile::next(double* values) {
  if (done_ == samples_) {
    char more = 0;
    if (source_.read(&more, 1) == 1) {
      fail(Exit::data, "{}: has more bytes than the {} samples of its header", source_.name(),
           samples_);
    }
    return false;
  }
  if (source_.read(bytes_.data(), bytes_.size()) < bytes_.size()) {
    fail(Exit::data, "{}: ends inside sample {}, but its header promises {} samples; is it truncated?",
         source_.name(), done_, samples_);
  }
  if (type_ == 0x08) {  // by far the most common: a loop without branches
    const auto* from = reinterpret_cast<const unsigned char*>(bytes_.data());
    for (std::uint32_t i = 0; i < values_; ++i) values[i] = from[i];
    ++done_;
    return true;
  }
  for (std::uint32_t i = 0; i < values_; ++i) {
    values[i] = decode(type_, bytes_.data() + std::size_t{i} * size_);
    if (!(std::abs(values[i]) <= std::numeric_limits<float>::max())) {
      fail(Exit::data, "{}: sample {}, value {}: {} is not finite, or too large for a float32",
           source_.name(), done_, i, values[i]);
    }
  }
  ++done_;
  return true;
}

IdxReader::IdxReader(std::vector<std::string> files, const std::string& labels,
                     std::function<void()> interrupted)
    : files_(std::move(files)), interrupted_(std::move(interrupted)) {
  images_.emplace(files_[0], interrupted_);
  if (labels.empty()) return;
  labels_.emplace(labels, interrupted_);
  if (labels_->values() != 1) {
    fail(Exit::data, "{}: labels have one value a sample, not {}; is it a file of images?",
         labels_->source().name(), labels_->values());
  }
}

bool IdxReader::next(double* values, std::string_view& label) {
  label = {};
  while (!images_->next(values)) {
    if (file_ + 1 == files_.size()) {
      double rest = 0;
      if (labels_ && labels_->next(&rest)) {
        fail(Exit::data, "{}: has {} labels, more than there are images", labels_->source().name(),
             labels_->samples());
      }
      return false;
    }
    const std::vector<std::uint32_t> shape = images_->shape();
    packed_before_ += images_->source().packed_bytes();
    images_.emplace(files_[++file_], interrupted_);
    row_ = 0;
    if (images_->shape() != shape) {
      fail(Exit::data, "{}: its samples have another shape than those of {}", files_[file_],
           files_[0]);
    }
  }
  ++row_;
  if (!labels_) return true;
  double value = 0;
  if (!labels_->next(&value)) {
    fail(Exit::data, "{}: has {} labels, fewer than there are images", labels_->source().name(),
         labels_->samples());
  }
  label_.resize(32);
  const auto end = std::to_chars(label_.data(), label_.data() + label_.size(), value).ptr;
  label = {label_.data(), static_cast<std::size_t>(end - label_.data())};
  return true;
}

std::string IdxReader::place() const {
  return fmt::format("{}: sample {}", images_->source().name(), row_ == 0 ? 0 : row_ - 1);
}

std::uint64_t IdxReader::packed_bytes() const {
  return packed_before_ + images_->source().packed_bytes();
}

bool looks_like_idx(const std::string& file) {
  ByteSource source(file);
  std::array<char, 4> head{};
  return source.read(head.data(), head.size()) == head.size() && head[0] == 0 && head[1] == 0 &&
         size_of_type(static_cast<unsigned char>(head[2])) != 0 && head[3] > 0 &&
         static_cast<unsigned>(head[3]) <= kMostDimensions;
}

}  // namespace dl::data
