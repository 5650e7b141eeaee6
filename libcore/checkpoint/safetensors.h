// SPDX-License-Identifier: MIT
// The safetensors container: named arrays and a map of texts, as any tool knows it.
//
//   8 bytes   N, the header's length, little-endian
//   N bytes   JSON: {"__metadata__": {text: text, ...}, name: {"dtype", "shape", "data_offsets"}, ...}
//   the rest  the arrays' bytes; offsets count from here
//
// Read strictly: the arrays tile the rest without a hole or an overlap, every shape fits its bytes,
// no key stands twice, and only the element types that dl writes are known.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace dl::checkpoint {

enum class Dtype { f32, f64, u64 };

std::uint64_t size_of(Dtype dtype);

struct Tensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::uint64_t> shape;  // none: one number
  ByteView bytes;                    // not owned
};

struct Safetensors {
  std::map<std::string, std::string> metadata;
  std::vector<Tensor> tensors;  // in the order of their bytes
};

// The longest header that the format allows.
inline constexpr std::uint64_t kLongestHeader = 100'000'000;

// The file's first part: length and header, padded with blanks so that the arrays are aligned. The
// arrays' bytes follow it one after the other.
Bytes encode_header(const Safetensors& content);

// The tensors' bytes are views of `file`. 65 with `what` and the offset where something is wrong.
Safetensors decode(ByteView file, const std::string& what);

// SHA-256 over what the file says, not over how it is written: the metadata by key but for `except`,
// then the tensors by name; every text, shape and array preceded by its length (64 bits).
std::string digest(const Safetensors& content, const std::string& except);

}  // namespace dl::checkpoint
