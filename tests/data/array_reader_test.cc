// SPDX-License-Identifier: MIT
#include "data/array_reader.h"

#include <doctest/doctest.h>

#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filter/zstd.hpp>
#include <boost/iostreams/filtering_stream.hpp>
#include <sstream>

#include "base/file.h"
#include "data/fixtures.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;
using namespace std::string_literals;

namespace {

const std::string kImages = "\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02\x01\x02\x03\xff"s;
const std::string kLabels = "\0\0\x08\x01\0\0\0\x02\x07\x05"s;

template <typename Filter>
std::string packed(const std::string& text) {
  std::ostringstream out;
  {
    boost::iostreams::filtering_ostream filter;
    filter.push(Filter());
    filter.push(out);
    filter << text;
  }
  return out.str();
}

struct Sample {
  std::vector<double> values;
  std::string label;
  bool operator==(const Sample&) const = default;
};

struct Files {
  test::Scratch dir;
  std::vector<Sample> read(const std::string& images, const std::string& labels) const {
    test::write_quickly(dir / "images", images);
    if (!labels.empty()) test::write_quickly(dir / "labels", labels);
    ArrayReader reader({(dir / "images").string()}, labels.empty() ? "" : (dir / "labels").string());
    std::vector<Sample> samples;
    std::vector<double> values(reader.width());
    std::string_view label;
    while (reader.next(values.data(), label)) samples.push_back({values, std::string(label)});
    return samples;
  }
  Exit code(const std::string& images, const std::string& labels) const {
    return test::complaint_of([&] { read(images, labels); }).code;
  }
};

const std::vector<Sample> kSamples = {{{1, 2}, "7"}, {{3, 255}, "5"}};

}  // namespace

TEST_CASE("idx: images with labels, plain, gzip in one or several members, or zstd") {
  const Files files;
  CHECK(files.read(kImages, kLabels) == kSamples);
  using Gzip = boost::iostreams::gzip_compressor;
  CHECK(files.read(packed<Gzip>(kImages), packed<Gzip>(kLabels)) == kSamples);
  CHECK(files.read(packed<Gzip>(kImages.substr(0, 18)) + packed<Gzip>(kImages.substr(18)), kLabels) ==
        kSamples);
  CHECK(files.read(packed<boost::iostreams::zstd_compressor>(kImages), kLabels) == kSamples);
  CHECK(files.read(kImages, "")[1].label.empty());
}

TEST_CASE("idx: every type of value") {
  const Files files;
  const auto one = [&](const std::string& type, const std::string& value) {
    return files.read("\0\0"s + type + "\x02\0\0\0\x01\0\0\0\x01"s + value, "")[0].values[0];
  };
  CHECK(one("\x08", "\xfe") == 254);
  CHECK(one("\x09", "\xfe") == -2);
  CHECK(one("\x0b", "\xff\xfe") == -2);
  CHECK(one("\x0c", "\xff\xff\xff\xfe") == -2);
  CHECK(one("\x0d", "\x3f\xc0\0\0"s) == 1.5);
  CHECK(one("\x0e", "\x3f\xf8\0\0\0\0\0\0"s) == 1.5);
  CHECK(test::complaint_of([&] { one("\x0d", "\x7f\xc0\0\0"s); }).code == Exit::data);
}

TEST_CASE("idx: every truncation, packed or not, and every byte too many is refused") {
  const Files files;
  const std::string gzip = packed<boost::iostreams::gzip_compressor>(kImages);
  const std::string zstd = packed<boost::iostreams::zstd_compressor>(kImages);
  for (std::size_t n = 0; n < kImages.size(); ++n) CHECK(files.code(kImages.substr(0, n), kLabels) == Exit::data);
  for (std::size_t n = 1; n < kLabels.size(); ++n) CHECK(files.code(kImages, kLabels.substr(0, n)) == Exit::data);
  for (std::size_t n = 0; n < gzip.size(); ++n) {
    CAPTURE(n);
    CHECK(files.code(gzip.substr(0, n), kLabels) == Exit::data);
  }
  for (std::size_t n = 0; n < zstd.size(); ++n) {
    CAPTURE(n);
    CHECK(files.code(zstd.substr(0, n), kLabels) == Exit::data);
  }
  CHECK(files.code(kImages + "x", kLabels) == Exit::data);
  CHECK(files.code(kImages, kLabels + "x") == Exit::data);
}

TEST_CASE("idx: headers that make no sense are refused") {
  const Files files;
  CHECK(files.code(kImages, "\0\0\x08\x01\0\0\0\x01\x07"s) == Exit::data);          // fewer labels
  CHECK(files.code(kImages, "\0\0\x08\x01\0\0\0\x03\x07\x05\x01"s) == Exit::data);  // more labels
  CHECK(files.code(kImages, kImages) == Exit::data);                                // images as labels
  CHECK(files.code("\0\0\x07\x01\0\0\0\x01\x07"s, "") == Exit::data);               // type
  CHECK(files.code("\0\0\x08\0\0\0\0\x01\x07"s, "") == Exit::data);                 // dimensions
  CHECK(files.code("\0\x01\x08\x01\0\0\0\x01\x07"s, "") == Exit::data);             // magic
  CHECK(files.code("\0\0\x08\x03\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff"s, "") == Exit::data);
  CHECK(files.code("\0\0\x08\x02\0\0\0\x01\0\0\0\0"s, "") == Exit::data);
}

TEST_CASE("idx: several image files share one file of labels, and must have one shape") {
  const Files files;
  test::write_quickly(files.dir / "a", "\0\0\x08\x02\0\0\0\x01\0\0\0\x01\x09"s);
  test::write_quickly(files.dir / "b", "\0\0\x08\x02\0\0\0\x01\0\0\0\x01\x08"s);
  test::write_quickly(files.dir / "wide", "\0\0\x08\x02\0\0\0\x01\0\0\0\x02\x08\x08"s);
  test::write_quickly(files.dir / "l", kLabels);
  const auto count = [&](const char* second) {
    ArrayReader reader({(files.dir / "a").string(), (files.dir / second).string()},
                     (files.dir / "l").string());
    double values[2];
    std::string_view label;
    int n = 0;
    while (reader.next(values, label)) ++n;
    return n;
  };
  CHECK(count("b") == 2);
  CHECK(test::complaint_of([&] { count("wide"); }).code == Exit::data);
}
