// SPDX-License-Identifier: MIT
// Arrays of numbers in files: IDX and NPY, which differ in their headers alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/byte_source.h"

namespace dl::data {

// How a number is stored: truth value, signed and unsigned whole number, floating point; and its bytes.
enum class Element { b1, i1, i2, i4, i8, u1, u2, u4, u8, f2, f4, f8 };
unsigned bytes_of(Element element);

// What a header says. The first dimension counts samples.
struct ArrayHeader {
  Element element = Element::u1;
  bool big_endian = false;
  std::vector<std::uint64_t> shape;
};

// Reads one file's header, then one sample after the other. Not thread-safe.
class ArrayFile {
 public:
  // Told by the first bytes. 65 where it is neither, where its header does not make sense, or where a
  // sample has no values or more than kMostFeatures.
  explicit ArrayFile(ByteSource source);

  const char* format() const { return format_; }                      // "idx" or "npy"
  std::uint64_t samples() const { return samples_; }
  const std::vector<std::uint32_t>& shape() const { return shape_; }  // of one sample
  std::uint32_t values() const { return values_; }                    // of one sample
  const ByteSource& source() const { return source_; }
  void allow_missing() { missing_ = true; }  // NaN is a missing number
  // The next sample. 65 where the file ends before the samples that its header promises, has more behind
  // them, or holds infinity, a NaN that is not allowed, or a whole number that no double holds exactly;
  // false behind the last.
  bool next(double* values);

 private:
  [[noreturn]] void refuse_value(std::size_t value, const std::string& why) const;
  const char* read_sample();
  template <typename Stored, typename Value>
  void take(const char* from, double* values) const;
  void decode(const char* from, double* values) const;

  ByteSource source_;
  const char* format_ = "";
  ArrayHeader header_;
  std::vector<std::uint32_t> shape_;
  std::uint64_t samples_ = 0, done_ = 0;
  std::uint32_t values_ = 1;
  bool missing_ = false;
  std::string bytes_;  // of some samples; the next one stands at at_, have_ have been read
  std::size_t sample_bytes_ = 0, at_ = 0, have_ = 0;
};

// Whether a file begins with these bytes.
bool looks_like_idx(std::string_view head);
bool looks_like_npy(std::string_view head);

// The header at the beginning of the source, which stands behind it then. 65 as above.
ArrayHeader read_idx_header(ByteSource& source);
ArrayHeader read_npy_header(ByteSource& source);

}  // namespace dl::data
