// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "data/array_reader.h"
#include "data/fixtures.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;
using namespace std::string_literals;

namespace {

std::string little(std::uint64_t value, unsigned bytes) {
  std::string out;
  for (unsigned i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i);
  return out;
}

std::string big(std::uint64_t value, unsigned bytes) {
  const std::string out = little(value, bytes);
  return {out.rbegin(), out.rend()};
}

std::string file_of(const std::string& header, const std::string& values, char version = 1) {
  return "\x93NUMPY"s + version + '\0' + little(header.size(), version == 1 ? 2 : 4) + header + values;
}

std::string header_of(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }   \n";
}

std::vector<std::vector<double>> read(const std::string& bytes) {
  const test::Scratch dir;
  test::write_quickly(dir / "a.npy", bytes);
  ArrayReader reader({(dir / "a.npy").string()}, "");
  std::vector<std::vector<double>> rows;
  std::vector<double> values(reader.width());
  std::string_view label;
  while (reader.next(values.data(), label)) rows.push_back(values);
  return rows;
}

std::string complaint_about(const std::string& bytes) {
  const auto complaint = test::complaint_of([&] { read(bytes); });
  CAPTURE(bytes);
  CHECK(complaint.code == Exit::data);
  return complaint.text;
}

// One value, as numpy stores it.
double one(const std::string& descr, const std::string& value) {
  return read(file_of(header_of(descr, "(1,)"), value)).at(0).at(0);
}

const std::string kTwoRows = file_of(header_of("|u1", "(2, 3)"), "\1\2\3\4\5\6");
const std::vector<std::vector<double>> kTwo = {{1, 2, 3}, {4, 5, 6}};

}  // namespace

TEST_CASE("npy: versions 1, 2 and 3, keys in any order and either quote") {
  for (const char version : {'\1', '\2', '\3'}) {
    CHECK(read(file_of(header_of("|u1", "(2, 3)"), "\1\2\3\4\5\6", version)) == kTwo);
  }
  CHECK(read(file_of("{\"shape\":(2,3),\"descr\":\"|u1\",\"fortran_order\":False}", "\1\2\3\4\5\6")) == kTwo);
  CHECK(read(file_of(header_of("|u1", "(0, 3)"), "")).empty());
  CHECK(read(file_of(header_of("|u1", "(1, 2, 2)"), "\1\2\3\4")) ==
        std::vector<std::vector<double>>{{1, 2, 3, 4}});
}

TEST_CASE("npy: every type of value, in both orders of bytes") {
  struct Case {
    const char* type;
    unsigned bytes;
    std::uint64_t stored;
    double value;
  };
  const auto single = [](float x) { return std::uint64_t{std::bit_cast<std::uint32_t>(x)}; };
  for (const Case& c : {Case{"b1", 1, 1, 1},
                        {"i1", 1, 0xfe, -2},
                        {"u1", 1, 0xfe, 254},
                        {"i2", 2, 0xfffe, -2},
                        {"u2", 2, 0xfffe, 65534},
                        {"i4", 4, 0xfffffffe, -2},
                        {"u4", 4, 0xfffffffe, 4294967294},
                        {"i8", 8, ~std::uint64_t{0}, -1},
                        {"i8", 8, std::uint64_t{1} << 53, 9007199254740992},
                        {"i8", 8, ~(std::uint64_t{1} << 53) + 1, -9007199254740992},
                        {"u8", 8, std::uint64_t{1} << 53, 9007199254740992},
                        {"f2", 2, 0x3e00, 1.5},
                        {"f2", 2, 0xfbff, -65504},
                        {"f2", 2, 0x0001, std::ldexp(1, -24)},
                        {"f2", 2, 0x0400, std::ldexp(1, -14)},
                        {"f2", 2, 0x03ff, std::ldexp(1023, -24)},
                        {"f4", 4, single(-1.5F), -1.5},
                        {"f8", 8, std::bit_cast<std::uint64_t>(0.1), 0.1}}) {
    CAPTURE(c.type);
    CHECK(one("<"s + c.type, little(c.stored, c.bytes)) == c.value);
    CHECK(one(">"s + c.type, big(c.stored, c.bytes)) == c.value);
    if (c.bytes == 1) CHECK(one("|"s + c.type, little(c.stored, 1)) == c.value);
  }
}

TEST_CASE("npy: values that no feature can have are refused, with their place") {
  const auto refused = [](const std::string& descr, const std::string& value) {
    return complaint_about(file_of(header_of(descr, "(1, 2)"), std::string(value.size(), '\0') + value));
  };
  CHECK(test::contains(refused("<i8", little((std::uint64_t{1} << 53) + 1, 8)),
                       "sample 0, value 1: 9007199254740993 is beyond 2^53"));
  CHECK(test::contains(refused(">i8", big(std::uint64_t{1} << 63, 8)), "-9223372036854775808"));
  CHECK(test::contains(refused("<u8", little(~std::uint64_t{0}, 8)), "18446744073709551615"));
  CHECK(test::contains(refused("<f2", little(0x7c00, 2)), "inf is not finite"));
  CHECK(test::contains(refused("<f2", little(0x7e00, 2)), "nan is not finite"));
  CHECK(test::contains(refused("<f4", little(0xff800000, 4)), "-inf is not finite"));
  CHECK(test::contains(refused("<f8", little(std::bit_cast<std::uint64_t>(1e39), 8)), "too large"));
  CHECK(test::contains(refused("|b1", "\2"), "byte 2 is neither"));
}

TEST_CASE("npy: every truncation and every byte too many is refused") {
  for (std::size_t n = 0; n < kTwoRows.size(); ++n) complaint_about(kTwoRows.substr(0, n));
  CHECK(test::contains(complaint_about(kTwoRows + "x"), "more bytes"));
  CHECK(test::contains(complaint_about(kTwoRows.substr(0, kTwoRows.size() - 1)), "ends inside sample 1"));
  const std::string two = file_of(header_of("|u1", "(2, 3)"), "\1\2\3\4\5\6", 2);
  for (std::size_t n = 0; n < two.size(); ++n) complaint_about(two.substr(0, n));
}

TEST_CASE("npy: headers that lie or make no sense are refused") {
  const auto refused = [](const std::string& header) { return complaint_about(file_of(header, "\1\2\3\4\5\6")); };
  CHECK(test::contains(refused(header_of("|O", "(2, 3)")), "Python objects, which are never read"));
  CHECK(test::contains(refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}"), "records"));
  for (const char* const type : {"<c8", "<f16", "|S1", "<U1", "<M8", "f8", "=f8", "|f8", "", "<", "<i3", "<b2"}) {
    CHECK(test::contains(refused(header_of(type, "(2, 3)")), "type"));
  }
  CHECK(test::contains(refused("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}"), "ascontiguousarray"));
  CHECK(test::contains(refused(header_of("|u1", "()")), "single number"));
  CHECK(test::contains(refused(header_of("|u1", "(2, 0)")), "no values"));
  CHECK(test::contains(refused(header_of("|u1", "(2, 16777217)")), "no values, or more than"));
  CHECK(test::contains(refused(header_of("|u1", "(2, 4294967296, 4294967296)")), "no values, or more than"));
  CHECK(test::contains(refused(header_of("|u1", "(2, 4096, 8192)")), "no values, or more than"));
  CHECK(test::contains(refused(header_of("|u1", "(18446744073709551615, 3)")), "ends inside sample 2"));
  for (const char* const header :
       {"", "{}", "{'descr': '|u1'}", "{'descr': '|u1', 'fortran_order': False}", "x", "{'descr': '|u1",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)} x",
        "{'descr': '|u1', 'fortran_order': 0, 'shape': (2, 3)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': [2, 3]}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2 3)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 3)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999, 3)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3",
        "{'descr': '|u1' 'fortran_order': False, 'shape': (2, 3)}"}) {
    CAPTURE(header);
    CHECK(test::contains(refused(header), "does not make sense"));
  }
  std::string many = "(1";
  for (int i = 0; i < 40; ++i) many += ", 1";
  CHECK(test::contains(refused(header_of("|u1", many + ")")), "does not make sense"));
  CHECK(test::contains(complaint_about(file_of(header_of("|u1", "(2, 3)"), "", 4)), "version 4.0"));
  CHECK(test::contains(complaint_about("\x93NUMPY\2\0\xff\xff\xff\x7f"s), "at most"));
}

TEST_CASE("npy: a column of a table may be its label") {
  const test::Scratch dir;
  test::write_quickly(dir / "a.npy", kTwoRows);
  ArrayReader reader({(dir / "a.npy").string(), (dir / "a.npy").string()}, "");
  CHECK(reader.find_column("-1") == 2);
  CHECK(reader.find_column("1") == 1);
  for (const char* const wrong : {"3", "-4", "x", "", "1.5"}) {
    CHECK(test::complaint_of([&] { reader.find_column(wrong); }).code == Exit::data);
  }
  reader.take_label(1);
  CHECK(reader.width() == 2);
  CHECK(reader.label_place() == "column 1");
  std::string seen;
  double values[2];
  std::string_view label;
  while (reader.next(values, label)) seen += fmt::format("{} {} is {}, ", values[0], values[1], label);
  CHECK(seen == "1 3 is 2, 4 6 is 5, 1 3 is 2, 4 6 is 5, ");
  CHECK(test::contains(reader.place(), "a.npy: sample 1"));
}

TEST_CASE("npy: labels in another file, IDX or NPY, for samples of any shape") {
  const test::Scratch dir;
  test::write_quickly(dir / "a.npy", file_of(header_of("|u1", "(2, 1, 2)"), "\1\2\3\4"));
  test::write_quickly(dir / "l.npy", file_of(header_of("<i2", "(2,)"), "\7\0\5\0"s));
  test::write_quickly(dir / "l.idx", "\0\0\x08\x01\0\0\0\x02\x07\x05"s);
  for (const char* const labels : {"l.npy", "l.idx"}) {
    ArrayReader reader({(dir / "a.npy").string()}, (dir / labels).string());
    CHECK(reader.shape() == std::vector<std::uint32_t>{1, 2});
    double values[2];
    std::string_view label;
    CHECK(reader.next(values, label));
    CHECK(label == "7");
    CHECK(reader.next(values, label));
    CHECK(label == "5");
    CHECK(values[1] == 4);
    CHECK(!reader.next(values, label));
  }
}

TEST_CASE("npy: NaN is a missing number where that is allowed, infinity never is") {
  const test::Scratch dir;
  const auto read_missing = [&](std::uint64_t bits) {
    test::write_quickly(dir / "a.npy", file_of(header_of(">f8", "(1, 2)"), big(bits, 8) + big(0, 8)));
    ArrayReader reader({(dir / "a.npy").string()}, "");
    reader.allow_missing();
    double values[2];
    std::string_view label;
    (void)reader.next(values, label);
    return values[0];
  };
  CHECK(std::isnan(read_missing(0x7ff8000000000000)));
  CHECK(test::complaint_of([&] { read_missing(0x7ff0000000000000); }).code == Exit::data);
}
