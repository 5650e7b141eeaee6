// SPDX-License-Identifier: MIT
#include "checkpoint/safetensors.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/error.h"

using namespace dl;
using namespace dl::checkpoint;

namespace {

Bytes file_of(std::string_view header, std::size_t data, std::uint64_t length) {
  Bytes file;
  put(file, length);
  put_text(file, header);
  file.resize(file.size() + data);
  return file;
}

std::string complaint(std::string_view header, std::size_t data) {
  try {
    decode(file_of(header, data, header.size()), "f");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::data);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("safetensors: what is written reads back, aligned") {
  const std::vector<float> weights = {1, 2, 3, 4, 5, 6};
  const std::vector<std::uint64_t> step = {7};
  const Safetensors written{{{"format", "x"}, {"note", "\"quoted\" \n"}},
                            {{"step", Dtype::u64, {}, as_bytes_of(std::span<const std::uint64_t>(step))},
                             {"w", Dtype::f32, {2, 3}, as_bytes_of(std::span<const float>(weights))},
                             {"none", Dtype::f64, {0, 4}, {}}}};
  Bytes file = encode_header(written);
  CHECK(file.size() % 8 == 0);
  for (const Tensor& tensor : written.tensors) {
    file.insert(file.end(), tensor.bytes.begin(), tensor.bytes.end());
  }
  const Safetensors back = decode(file, "f");
  CHECK(back.metadata == written.metadata);
  REQUIRE(back.tensors.size() == 3);
  CHECK(back.tensors[1].name == "w");
  CHECK(back.tensors[1].shape == written.tensors[1].shape);
  CHECK(std::equal(back.tensors[1].bytes.begin(), back.tensors[1].bytes.end(),
                   written.tensors[1].bytes.begin(), written.tensors[1].bytes.end()));
  CHECK(digest(back, "") == digest(written, ""));
}

TEST_CASE("safetensors: the digest sees every name, shape, text and byte, but not their order") {
  const std::vector<float> values = {1, 2};
  const ByteView bytes = as_bytes_of(std::span<const float>(values));
  const Tensor a{"a", Dtype::f32, {2}, bytes};
  const Tensor b{"b", Dtype::f32, {2}, bytes};
  const std::string wanted = digest({{{"k", "v"}}, {a, b}}, "");
  CHECK(digest({{{"k", "v"}}, {b, a}}, "") == wanted);
  CHECK(digest({{{"k", "v"}, {"x", "y"}}, {a, b}}, "x") == wanted);
  CHECK(digest({{{"k", "w"}}, {a, b}}, "") != wanted);
  CHECK(digest({{{"kv", ""}}, {a, b}}, "") != wanted);
  CHECK(digest({{{"k", "v"}}, {a}}, "") != wanted);
  CHECK(digest({{{"k", "v"}}, {a, {"b", Dtype::f32, {1, 2}, bytes}}}, "") != wanted);
  CHECK(digest({{{"k", "v"}}, {a, {"b", Dtype::u64, {1}, bytes}}}, "") != wanted);
}

TEST_CASE("safetensors: a length is bounded by the file before anything is read") {
  for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{1} << 40, UINT64_MAX}) {
    try {
      decode(file_of("{}", 0, length), "f");
      FAIL("taken");
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find(fmt::format("a header of {} bytes", length)) !=
            std::string::npos);
    }
  }
  CHECK_THROWS_AS(decode({}, "f"), Error);
  CHECK_THROWS_AS(decode(Bytes(7), "f"), Error);
  CHECK_THROWS_AS(decode(Bytes(8), "f"), Error);
}

TEST_CASE("safetensors: holes, overlaps, bad shapes and strange entries are refused") {
  const auto entry = [](std::string_view name, std::string_view shape, std::string_view offsets) {
    return fmt::format(R"("{}":{{"dtype":"F32","shape":[{}],"data_offsets":[{}]}})", name, shape,
                       offsets);
  };
  const auto two = [&](std::string_view first, std::string_view second) {
    return complaint("{" + entry("a", "1", first) + "," + entry("b", "1", second) + "}", 8);
  };
  CHECK(two("0,4", "4,8").empty());
  CHECK(two("4,8", "0,4").empty());  // any order
  CHECK(two("0,4", "0,4").find("begins at byte 0 of the data, not at 4") != std::string::npos);
  CHECK(complaint("{" + entry("a", "1", "4,8") + "}", 8).find("not at 0") != std::string::npos);
  CHECK(complaint("{" + entry("a", "1", "0,4") + "}", 8) ==
        "f: 4 bytes at the end belong to no tensor");
  CHECK_FALSE(complaint("{" + entry("a", "1", "0,4") + "," + entry("a", "1", "4,8") + "}", 8).empty());
  const auto one = [&](std::string_view shape, std::string_view offsets) {
    return complaint("{" + entry("a", shape, offsets) + "}", 8);
  };
  CHECK(one("2", "0,8").empty());
  CHECK(one("2", "8,0").find("bytes 8 to 0 are not in") != std::string::npos);
  CHECK(one("2", "0,9").find("bytes 0 to 9 are not in") != std::string::npos);
  CHECK(one("3", "0,8").find("8 bytes do not fit the shape") != std::string::npos);
  CHECK(one("4294967296,4294967296,2", "0,8").find("do not fit") != std::string::npos);
  CHECK_FALSE(one("-2", "0,8").empty());
  CHECK_FALSE(one("2.0", "0,8").empty());
  CHECK_FALSE(one("1,1,1,1,1,1,1,1,2", "0,8").empty());
  CHECK_FALSE(one("2", "0,8,8").empty());
  CHECK_FALSE(complaint(R"({"a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}})", 8).empty());
  CHECK_FALSE(complaint(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8).empty());
  CHECK_FALSE(complaint(R"({"a":{"dtype":"F32","shape":[2]}})", 8).empty());
  CHECK_FALSE(complaint(R"({"__metadata__":{"a":1}})", 0).empty());
  CHECK_FALSE(complaint(R"({"__metadata__":[]})", 0).empty());
  CHECK_FALSE(complaint("[]", 0).empty());
  CHECK_FALSE(complaint("{", 0).empty());
}
