// SPDX-License-Identifier: MIT
#include "checkpoint/checkpoint.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/hash.h"
#include "checkpoint/safetensors.h"
#include "sample.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::checkpoint;
using dl::test::sample_checkpoint;

namespace {

Bytes bytes_of(const Checkpoint& checkpoint) {
  const test::Scratch dir;
  write_checkpoint(dir / "c", checkpoint);
  const MappedFile file(dir / "c");
  return {file.bytes().begin(), file.bytes().end()};
}

// The refusal's text; empty where the bytes were taken and mean what `wanted` means.
std::string refusal(ByteView bytes, const Checkpoint& wanted) {
  try {
    return decode_checkpoint(bytes, "c") == wanted ? "" : "TAKEN, AND CHANGED";
  } catch (const Error& e) {
    CHECK(e.code() == Exit::data);
    return e.what();
  }
}

// A file with this content, its digest made to fit.
Bytes forged(Safetensors content) {
  content.metadata["sha256"] = digest(content, "sha256");
  Bytes file = encode_header(content);
  for (const Tensor& tensor : content.tensors) {
    file.insert(file.end(), tensor.bytes.begin(), tensor.bytes.end());
  }
  return file;
}

}  // namespace

TEST_CASE("checkpoint: what is written reads back") {
  const test::Scratch dir;
  const Checkpoint written = sample_checkpoint();
  write_checkpoint(dir / "c", written);
  CHECK(read_checkpoint(dir / "c") == written);
  write_checkpoint(dir / "d", written);
  CHECK(sha256_of_file(dir / "c") == sha256_of_file(dir / "d"));

  Checkpoint plain;
  plain.tensors = {{"0.weight", {1, 1}}};
  plain.parameters = {0.0F};
  write_checkpoint(dir / "p", plain);
  CHECK(read_checkpoint(dir / "p") == plain);
}

TEST_CASE("checkpoint: every truncation is refused") {
  const Bytes whole = bytes_of(sample_checkpoint());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(refusal(ByteView(whole).first(size), sample_checkpoint()).empty());
  }
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  CHECK_FALSE(refusal(longer, sample_checkpoint()).empty());
}

TEST_CASE("checkpoint: every flipped bit is refused or changes nothing") {
  const Bytes whole = bytes_of(sample_checkpoint());
  std::size_t harmless = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    const std::string text = refusal(flipped, sample_checkpoint());
    CHECK(text != "TAKEN, AND CHANGED");
    if (text.empty()) ++harmless;
  }
  CHECK(harmless < 8);  // none but the header's padding could be
}

TEST_CASE("checkpoint: another tool may write it again in its own order") {
  const Bytes whole = bytes_of(sample_checkpoint());
  Safetensors content = decode(whole, "c");
  std::reverse(content.tensors.begin(), content.tensors.end());
  Bytes file = encode_header(content);
  for (const Tensor& tensor : content.tensors) {
    file.insert(file.end(), tensor.bytes.begin(), tensor.bytes.end());
  }
  CHECK(refusal(file, sample_checkpoint()).empty());
}

TEST_CASE("checkpoint: content that does not fit together is refused though its digest is right") {
  const Bytes whole = bytes_of(sample_checkpoint());
  const Safetensors content = decode(whole, "c");
  CHECK(refusal(forged(content), sample_checkpoint()).empty());
  const auto with = [&](auto&& change) {
    Safetensors changed = content;
    change(changed);
    return refusal(forged(changed), sample_checkpoint());
  };
  const auto find = [](Safetensors& c, const std::string& name) {
    return std::find_if(c.tensors.begin(), c.tensors.end(),
                        [&](const Tensor& tensor) { return tensor.name == name; });
  };
  CHECK(with([](Safetensors& c) { c.metadata["format"] = "dl 2"; }) ==
        "c: the format is 'dl 2', not 'dl 1' (another version of dl?)");
  CHECK(with([](Safetensors& c) { c.metadata.erase("slots"); }) ==
        "c: not a checkpoint of dl: __metadata__ has no 'slots'");
  CHECK(with([&](Safetensors& c) { c.tensors.erase(find(c, "2.bias")); }) ==
        "c: tensor '2.bias' is missing");
  CHECK(with([&](Safetensors& c) { c.tensors.erase(find(c, "optimizer.v.0.bias")); }) ==
        "c: tensor 'optimizer.v.0.bias' is missing");
  CHECK(with([&](Safetensors& c) { find(c, "2.bias")->name = "extra"; }) ==
        "c: tensor '2.bias' is missing");
  CHECK(with([&](Safetensors& c) { find(c, "optimizer.m.0.weight")->shape = {3, 2}; }) ==
        "c: tensor 'optimizer.m.0.weight' has another type or shape than its parameter");
  CHECK(with([](Safetensors& c) { c.metadata["parameters"] = R"(["0.weight","0.bias"])"; }) ==
        "c: tensor '2.bias' belongs to nothing that the checkpoint names");
  CHECK_FALSE(with([](Safetensors& c) { c.metadata["parameters"] = R"(["0.bias","0.bias"])"; }).empty());
  CHECK_FALSE(with([](Safetensors& c) { c.metadata["parameters"] = R"(["cursor.step"])"; }).empty());
  CHECK_FALSE(with([](Safetensors& c) { c.metadata["model"] = "not JSON"; }).empty());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(with([&](Safetensors& c) {
          find(c, "2.bias")->bytes = as_bytes_of(std::span<const float>(&nan, 1));
        }) == "c: '2.bias' is nan at element 0: not a usable state");
  CHECK(with([&](Safetensors& c) {
          find(c, "optimizer.v.2.bias")->bytes = as_bytes_of(std::span<const float>(&nan, 1));
        }) == "c: 'optimizer.v.2.bias' is nan at element 0: not a usable state");
}

TEST_CASE("checkpoint: a number that is not finite, wherever it stands, is not written, and the old file stays") {
  const test::Scratch dir;
  Checkpoint good = sample_checkpoint();
  good.extras = {{"residual", {1, 2, 3}}};
  write_checkpoint(dir / "c", good);
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& spoil : std::vector<std::function<void(Checkpoint&)>>{
           [&](Checkpoint& c) { c.parameters[7] = infinity; }, [&](Checkpoint& c) { c.slots[1][10] = -infinity; },
           [&](Checkpoint& c) { c.extras[0].second[2] = infinity; }}) {
    Checkpoint bad = good;
    spoil(bad);
    CHECK_THROWS_AS(write_checkpoint(dir / "c", bad), Error);
  }
  CHECK(read_checkpoint(dir / "c") == good);
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("checkpoint: floats that do not fit their shapes are a bug") {
  const test::Scratch dir;
  Checkpoint bad = sample_checkpoint();
  bad.parameters.pop_back();
  CHECK_THROWS_AS(write_checkpoint(dir / "c", bad), Error);
  bad = sample_checkpoint();
  bad.slots[1].push_back(0);
  CHECK_THROWS_AS(write_checkpoint(dir / "c", bad), Error);
  bad = sample_checkpoint();
  bad.tensors[0].name = "cursor.x";
  CHECK_THROWS_AS(write_checkpoint(dir / "c", bad), Error);
}

TEST_CASE("checkpoint: a missing file is 66") {
  const test::Scratch dir;
  try {
    read_checkpoint(dir / "none");
    FAIL("read");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::no_input);
  }
}

TEST_CASE("checkpoint: params_sha256 is that of the little-endian floats") {
  // printf '\0\0\x80\x3f\0\0\0\xc0' | sha256sum
  CHECK(params_sha256(std::vector<float>{1.0F, -2.0F}) ==
        "ee4ac73c2bd27756ab82780f27c73a7bc4d3f0bb6acb37e008bc27eccd7e588b");
}

TEST_CASE("checkpoint: the golden file of version 1 reads and is written again to the byte") {
  const fs::path golden = fs::path(DL_GOLDEN) / "checkpoint-1.safetensors";
  CHECK(read_checkpoint(golden) == sample_checkpoint());
  const MappedFile file(golden);
  const Bytes written = bytes_of(sample_checkpoint());
  CHECK(std::equal(written.begin(), written.end(), file.bytes().begin(), file.bytes().end()));
}
