// SPDX-License-Identifier: MIT
#include "data/raw_rows.h"

#include <doctest/doctest.h>

#include "base/file.h"
#include "data/fixtures.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;
using namespace std::string_literals;

namespace {

// flowers(): length (column 0, shift 1.5, scale 1/4), kind, width (column 2, shift -3, scale 1/3).
RawChunk flowers_of(const std::string& text, RawOptions options = {}) {
  const test::Scratch dir;
  test::write_quickly(dir / "t", text);
  RawRows rows(test::flowers(), {(dir / "t").string()}, options);
  RawChunk chunk;
  rows.read(100, chunk);
  CHECK(rows.has_targets() == (chunk.classes.size() == chunk.rows && chunk.rows > 0));
  return chunk;
}

std::string complaint_about(const std::string& text) {
  const auto complaint = test::complaint_of([&] { flowers_of(text); });
  CHECK(complaint.code == Exit::data);
  return complaint.text;
}

const std::vector<float> kFeatures = {1, 2, -0.375F, 1};

}  // namespace

TEST_CASE("raw rows: features are transformed, columns found by place or by name") {
  for (const std::string text :
       {"5.5;rose;3\n0;iris;0\n", "length;kind;width\n5.5;rose;3\n0;iris;0\n",
        "width;length;kind\n3;5.5;rose\n0;0;iris\n", "id;kind;width;note;length\nx;rose;3;;5.5\ny;iris;0;;0\n"}) {
    CAPTURE(text);
    const RawChunk chunk = flowers_of(text);
    CHECK(chunk.rows == 2);
    CHECK(chunk.features == kFeatures);
    CHECK(chunk.classes == std::vector<std::uint32_t>{1, 0});
    CHECK(chunk.numbers.empty());
  }
}

TEST_CASE("raw rows: the target's column may be missing") {
  for (const std::string text : {"5.5;3\n0;0\n", "length;width\n5.5;3\n0;0\n", "width;length\n3;5.5\n0;0\n"}) {
    CAPTURE(text);
    const RawChunk chunk = flowers_of(text);
    CHECK(chunk.features == kFeatures);
    CHECK(chunk.classes.empty());
  }
}

TEST_CASE("raw rows: another separator when told, chunks of any size") {
  CHECK(flowers_of("5.5,rose,3\n0,iris,0\n", {{}, ',', "", {}}).features == kFeatures);
  const test::Scratch dir;
  test::write_quickly(dir / "t", "1;rose;1\n2;iris;2\n3;tulip;3\n");
  RawRows rows(test::flowers(), {(dir / "t").string()});
  RawChunk chunk;
  CHECK(rows.read(2, chunk) == 2);
  CHECK(rows.read(2, chunk) == 1);
  CHECK(chunk.classes == std::vector<std::uint32_t>{2});
  CHECK(rows.read(2, chunk) == 0);
}

TEST_CASE("raw rows: what does not fit the schema is named") {
  CHECK(test::contains(complaint_about("1;daisy;3\n"), "row 1, column 1: 'daisy' is none of the 3"));
  CHECK(test::contains(complaint_about("length;kind\n1;rose\n2;iris\n"), "'width'"));
  CHECK(test::contains(complaint_about("1;rose;3;4\n"), "4 cells"));
  CHECK(test::contains(complaint_about("1\n"), "1 cells"));
  CHECK(test::contains(complaint_about("1;rose;x\n"), "column 2: 'x' is not a number"));
  CHECK(test::contains(complaint_about("1;rose;2\n1;;2\n"), "row 2, column 1: ''"));
}

TEST_CASE("raw rows: images with and without labels; a target is scaled as in training") {
  const test::Scratch dir;
  test::write_quickly(dir / "i", "\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02\0\xff\x33\x66"s);
  test::write_quickly(dir / "l", "\0\0\x0c\x01\0\0\0\x01\0\0\0\x6c"s);
  test::write_quickly(dir / "wide", "\0\0\x08\x02\0\0\0\x01\0\0\0\x04\0\xff\x33\x66"s);
  RawChunk chunk;
  RawRows with(test::prices(), {(dir / "i").string()}, {{}, {}, (dir / "l").string(), {}});
  CHECK(with.has_targets());
  REQUIRE(with.read(9, chunk) == 1);
  CHECK(chunk.features == std::vector<float>{0, 1, 0.2F, 0.4F});
  CHECK(chunk.numbers == std::vector<float>{1});
  RawRows without(test::prices(), {(dir / "i").string()});
  CHECK_FALSE(without.has_targets());
  without.read(9, chunk);
  CHECK(chunk.numbers.empty());
  const auto complaint = test::complaint_of([&] { RawRows(test::prices(), {(dir / "wide").string()}); });
  CHECK(complaint.code == Exit::data);
  CHECK(test::contains(complaint.text, "made for samples of 2x2"));
}

TEST_CASE("raw rows: libsvm with and without labels, as the schema's indices say") {
  Schema schema = test::flowers();
  schema.input = {};
  schema.input.format = "libsvm";
  schema.input.columns = 2;
  schema.columns[0].index = 1;
  const test::Scratch dir;
  const auto read = [&](const std::string& text) {
    test::write_quickly(dir / "t", text);
    RawRows rows(Schema::from_json(schema.to_json(), "schema"), {(dir / "t").string()});
    RawChunk chunk;
    rows.read(100, chunk);
    CHECK(rows.has_targets() == (chunk.classes.size() == chunk.rows));
    return chunk;
  };
  const RawChunk chunk = read("rose 1:5.5 2:3\niris 9:1\n");
  CHECK(chunk.features == kFeatures);
  CHECK(chunk.classes == std::vector<std::uint32_t>{1, 0});
  CHECK(read("1:5.5 2:3\n3:0\n").features == kFeatures);
  CHECK(test::complaint_of([&] { read("rose 0:1\n"); }).code == Exit::data);
}

TEST_CASE("raw rows: arrays, their target in a column, in another file, or missing") {
  Schema schema = test::flowers();
  schema.input = {};
  schema.input.format = "npy";
  schema.input.columns = 3;
  schema.targets[0].classes = {"4", "7"};
  const test::Scratch dir;
  const auto file = [&](const std::string& shape, const std::string& values) {
    const std::string header = "{'descr': '|i1', 'fortran_order': False, 'shape': " + shape + "}";
    test::write_quickly(dir / "a", "\x93NUMPY\1\0"s + static_cast<char>(header.size()) + '\0' + header + values);
    return (dir / "a").string();
  };
  const auto read = [&](const std::string& name, const std::string& labels = "") {
    RawOptions options;
    options.labels = labels;
    RawRows rows(Schema::from_json(schema.to_json(), "schema"), {name}, options);
    RawChunk chunk;
    rows.read(100, chunk);
    return chunk;
  };
  const std::vector<float> wanted = {0.125F, 1};
  CHECK(read(file("(1, 3)", "\2\7\0"s)).features == wanted);
  CHECK(read(file("(1, 3)", "\2\7\0"s)).classes == std::vector<std::uint32_t>{1});
  CHECK(read(file("(1, 2)", "\2\0"s)).features == wanted);
  CHECK(read(file("(1, 2)", "\2\0"s)).classes.empty());
  CHECK(test::complaint_of([&] { read(file("(1, 4)", "\2\0\1\1"s)); }).code == Exit::data);
  schema.input.columns = 0;
  schema.input.shape = {2};
  test::write_quickly(dir / "l", "\0\0\x08\x01\0\0\0\1\4"s);
  CHECK(read(file("(1, 2)", "\2\0"s)).features == wanted);
  CHECK(read(file("(1, 2)", "\2\0"s), (dir / "l").string()).classes == std::vector<std::uint32_t>{0});
  CHECK(test::complaint_of([&] { read(file("(1, 2, 1)", "\2\0"s)); }).code == Exit::data);
}
