// SPDX-License-Identifier: MIT
#include "data/array_reader.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace dl::data {

ArrayReader::ArrayReader(InputFiles files, const std::string& labels) : files_(std::move(files)) {
  array_.emplace(files_.open(0));
  width_ = array_->values();
  if (labels.empty()) return;
  labels_.emplace(files_.open(labels));
  if (labels_->values() != 1) {
    fail(Exit::data, "{}: labels have one value a sample, not {}; is it a file of images?",
         labels_->source().name(), labels_->values());
  }
}

std::uint32_t ArrayReader::find_column(const std::string& text) const {
  std::int64_t number = 0;
  const std::int64_t count = columns();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < -count || number >= count) {
    fail(Exit::data, "{}: there is no column {}; a sample has {} (numbered 0 to {}, or -1 for the last)",
         file(), shown(text), count, count - 1);
  }
  return static_cast<std::uint32_t>(number < 0 ? number + count : number);
}

void ArrayReader::take_label(std::uint32_t column) {
  label_column_ = column;
  sample_.resize(columns());
  width_ = columns() - 1;
}

void ArrayReader::allow_missing() {
  missing_ = true;
  array_->allow_missing();
}

bool ArrayReader::next_sample(double* values) {
  while (!array_->next(values)) {
    if (file_ + 1 == files_.size()) {
      double rest = 0;
      if (labels_ && labels_->next(&rest)) {
        fail(Exit::data, "{}: has {} labels, more than there are samples", labels_->source().name(),
             labels_->samples());
      }
      return false;
    }
    const std::vector<std::uint32_t> shape = array_->shape();
    packed_before_ += array_->source().packed_bytes();
    array_.emplace(files_.open(++file_));
    if (missing_) array_->allow_missing();
    row_ = 0;
    if (array_->shape() != shape) {
      fail(Exit::data, "{}: its samples have another shape than those of {}", files_[file_],
           files_[0]);
    }
  }
  ++row_;
  return true;
}

void ArrayReader::set_label(double value, std::string_view& label) {
  label_.resize(32);
  const auto end = std::to_chars(label_.data(), label_.data() + label_.size(), value).ptr;
  label = {label_.data(), static_cast<std::size_t>(end - label_.data())};
}

bool ArrayReader::next(double* values, std::string_view& label) {
  label = {};
  if (!next_sample(label_column_ ? sample_.data() : values)) return false;
  if (label_column_) {
    const auto at = sample_.begin() + *label_column_;
    std::copy(at + 1, sample_.end(), std::copy(sample_.begin(), at, values));
    set_label(*at, label);
  }
  if (!labels_) return true;
  double value = 0;
  if (!labels_->next(&value)) {
    fail(Exit::data, "{}: has {} labels, fewer than there are samples", labels_->source().name(),
         labels_->samples());
  }
  set_label(value, label);
  return true;
}

std::string ArrayReader::place() const {
  return fmt::format("{}: sample {}", file(), row_ == 0 ? 0 : row_ - 1);
}

std::string ArrayReader::label_place() const {
  return label_column_ ? fmt::format("column {}", *label_column_) : "the label";
}

std::uint64_t ArrayReader::packed_bytes() const {
  return packed_before_ + array_->source().packed_bytes();
}

}  // namespace dl::data
