// SPDX-License-Identifier: MIT
#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"

namespace dl::checkpoint {

namespace {

constexpr const char* kMetadata = "__metadata__";
constexpr std::size_t kMostDimensions = 8;
constexpr std::size_t kAlignment = 8;

struct DtypeRow {
  Dtype dtype;
  const char* name;
  std::uint64_t size;
};
constexpr std::array<DtypeRow, 3> kDtypes = {
    {{Dtype::f32, "F32", 4}, {Dtype::f64, "F64", 8}, {Dtype::u64, "U64", 8}}};

const DtypeRow& row_of(Dtype dtype) {
  return *std::find_if(kDtypes.begin(), kDtypes.end(),
                       [&](const DtypeRow& row) { return row.dtype == dtype; });
}

// Bytes of an array; nullopt where they do not fit 64 bits.
std::optional<std::uint64_t> bytes_of(Dtype dtype, const std::vector<std::uint64_t>& shape) {
  std::uint64_t size = size_of(dtype);
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(size, extent, &size)) return std::nullopt;
  }
  return size;
}

std::uint64_t whole_number(const Json& value, const std::string& what) {
  if (!value.is_number_unsigned()) {
    fail(Exit::data, "{}: {} is not a whole number", what, shown(dump_line(value)));
  }
  return value.get<std::uint64_t>();
}

// A tensor's entry, its bytes as a range of `data`.
Tensor read_entry(const std::string& name, const Json& json, ByteView data,
                  const std::string& file) {
  const std::string what = fmt::format("{}: tensor {}", file, shown(name));
  const JsonObject entry(json, what);
  if (json.size() != 3) fail(Exit::data, "{}: has keys beside dtype, shape, data_offsets", what);
  Tensor tensor{name, Dtype::f32, {}, {}};
  const std::string dtype = entry.text("dtype");
  const auto row = std::find_if(kDtypes.begin(), kDtypes.end(),
                                [&](const DtypeRow& known) { return known.name == dtype; });
  if (row == kDtypes.end()) {
    fail(Exit::data, "{}: dtype {} is not one of F32, F64, U64", what, shown(dtype));
  }
  tensor.dtype = row->dtype;
  for (const Json& extent : entry.array("shape", kMostDimensions)) {
    tensor.shape.push_back(whole_number(extent, what + ": shape"));
  }
  const Json& offsets = entry.array("data_offsets", 2);
  if (offsets.size() != 2) fail(Exit::data, "{}: data_offsets are not two numbers", what);
  const std::uint64_t begin = whole_number(offsets[0], what + ": data_offsets");
  const std::uint64_t end = whole_number(offsets[1], what + ": data_offsets");
  if (begin > end || end > data.size()) {
    fail(Exit::data, "{}: bytes {} to {} are not in the file's {} bytes of data", what, begin, end,
         data.size());
  }
  const auto size = bytes_of(tensor.dtype, tensor.shape);
  if (!size || *size != end - begin) {
    fail(Exit::data, "{}: {} bytes do not fit the shape", what, end - begin);
  }
  tensor.bytes = data.subspan(begin, end - begin);
  return tensor;
}

void check_tiling(std::vector<Tensor>& tensors, ByteView data, const std::string& what) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
  });
  const std::byte* at = data.data();
  for (const Tensor& tensor : tensors) {
    if (tensor.bytes.data() != at) {
      fail(Exit::data, "{}: tensor {} begins at byte {} of the data, not at {}", what,
           shown(tensor.name), tensor.bytes.data() - data.data(), at - data.data());
    }
    at += tensor.bytes.size();
  }
  if (at != data.data() + data.size()) {
    fail(Exit::data, "{}: {} bytes at the end belong to no tensor", what,
         data.data() + data.size() - at);
  }
}

void add_counted(Sha256& digest, ByteView bytes) {
  const std::uint64_t size = bytes.size();
  digest.add(as_bytes_of(std::span(&size, 1)));
  digest.add(bytes);
}

}  // namespace

std::uint64_t size_of(Dtype dtype) { return row_of(dtype).size; }

Bytes encode_header(const Safetensors& content) {
  Json header = Json::object();
  if (!content.metadata.empty()) header[kMetadata] = content.metadata;
  std::uint64_t at = 0;
  for (const Tensor& tensor : content.tensors) {
    if (bytes_of(tensor.dtype, tensor.shape) != tensor.bytes.size() || header.contains(tensor.name)) {
      fail(Exit::bug, "tensor {} does not fit its shape, or its name stands twice",
           shown(tensor.name));
    }
    const std::uint64_t end = at + tensor.bytes.size();
    header[tensor.name] = {{"dtype", row_of(tensor.dtype).name},
                           {"shape", tensor.shape},
                           {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = dump_line(header);
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  if (text.size() > kLongestHeader) {
    fail(Exit::data, "a checkpoint's header of {} bytes is longer than the {} that safetensors allows",
         text.size(), kLongestHeader);
  }
  Bytes bytes;
  put(bytes, std::uint64_t{text.size()});
  put_text(bytes, text);
  return bytes;
}

Safetensors decode(ByteView file, const std::string& what) {
  ByteReader reader(file, what);
  const auto length = reader.get<std::uint64_t>();
  if (length > reader.left() || length > kLongestHeader) {
    fail(Exit::data, "{}: not a checkpoint, or cut short: a header of {} bytes at offset 8, and {} "
         "bytes are left", what, length, reader.left());
  }
  const ByteView header = reader.take(length);
  const ByteView data = reader.take(reader.left());
  if (header.empty() || static_cast<char>(header[0]) != '{') {
    fail(Exit::data, "{}: no JSON object at offset 8", what);
  }
  const Json json = parse_json(
      {reinterpret_cast<const char*>(header.data()), header.size()}, what + ": header");

  Safetensors content;
  for (const auto& [name, value] : json.items()) {
    if (name != kMetadata) {
      content.tensors.push_back(read_entry(name, value, data, what));
      continue;
    }
    const JsonObject metadata(value, what + ": " + kMetadata);
    for (const auto& [key, text] : value.items()) {
      content.metadata[key] = metadata.text(key.c_str());
    }
  }
  check_tiling(content.tensors, data, what);
  return content;
}

std::string digest(const Safetensors& content, const std::string& except) {
  Sha256 digest;
  for (const auto& [key, text] : content.metadata) {
    if (key == except) continue;
    add_counted(digest, as_bytes_of(std::string_view(key)));
    add_counted(digest, as_bytes_of(std::string_view(text)));
  }
  std::vector<const Tensor*> by_name;
  for (const Tensor& tensor : content.tensors) by_name.push_back(&tensor);
  std::sort(by_name.begin(), by_name.end(),
            [](const Tensor* a, const Tensor* b) { return a->name < b->name; });
  for (const Tensor* tensor : by_name) {
    add_counted(digest, as_bytes_of(std::string_view(tensor->name)));
    add_counted(digest, as_bytes_of(std::string_view(row_of(tensor->dtype).name)));
    add_counted(digest, as_bytes_of(std::span<const std::uint64_t>(tensor->shape)));
    add_counted(digest, tensor->bytes);
  }
  return digest.hex();
}

}  // namespace dl::checkpoint
