// SPDX-License-Identifier: MIT
#include "data/shard.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "base/hash.h"
#include "base/rng.h"
#include "data/fixtures.h"
#include "data/shard_writer.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

struct Row {
  std::vector<float> features;
  std::uint32_t label = 0;
  std::vector<float> numbers;
  float weight = 1;
};

std::vector<Row> random_rows(const ShardShape& shape, std::uint32_t seed) {
  Rng rng(seed, Purpose::test);
  std::vector<Row> rows(shape.rows);
  for (Row& row : rows) {
    for (std::uint32_t k = 0; k < shape.features; ++k) row.features.push_back(rng.uniform(-2, 2));
    if (shape.classes > 0) row.label = static_cast<std::uint32_t>(rng.below(shape.classes));
    for (std::uint32_t k = 0; k < shape.targets; ++k) row.numbers.push_back(rng.uniform(-2, 2));
    if (shape.weights) row.weight = rng.uniform();
  }
  return rows;
}

ShardEntry write_rows(const fs::path& path, const ShardShape& shape, const std::vector<Row>& rows) {
  ShardWriter writer(path, shape);
  for (const Row& row : rows) {
    std::copy(row.features.begin(), row.features.end(), writer.row());
    if (shape.classes > 0) {
      writer.end_row(row.label, row.weight);
    } else {
      writer.end_row(row.numbers, row.weight);
    }
  }
  return writer.commit();
}

// The worked example of dl-shard(5): three rows of two features, classes 0 and 1, blocks of two.
ShardEntry write_example(const fs::path& path) {
  return write_rows(path, {3, 2, 0, 2, 2, false},
                    {{{0, 1}, 1, {}, 1}, {{0.5, -1}, 0, {}, 1}, {{2, 1.5}, 1, {}, 1}});
}

Exit code_of_reading(const fs::path& path) {
  return test::complaint_of([&] { const Shard shard(path); }).code;
}

}  // namespace

TEST_CASE("shard: what is written is read back, whatever its shape") {
  const test::Scratch dir;
  std::uint32_t seed = 0;
  for (const std::uint32_t rows : {0U, 1U, 2U, 3U, 64U, 100U}) {
    for (const ShardShape shape : {ShardShape{rows, 1, 0, 2, 2, false},
                                   ShardShape{rows, 7, 0, 65536, 3, true},
                                   ShardShape{rows, 15, 1, 0, 1, false},
                                   ShardShape{rows, 3, 2, 0, 64, true},
                                   ShardShape{rows, 784, 0, 10, 0, false}}) {
      const auto written = random_rows(shape, ++seed);
      const ShardEntry entry = write_rows(dir / "a.dls", shape, written);
      CHECK(entry.file == "a.dls");
      CHECK(entry.samples == rows);
      CHECK_NOTHROW(verify_digest(dir.path(), entry));
      const Shard shard(dir / "a.dls");
      REQUIRE(shard.rows() == rows);
      CHECK(shard.features() == shape.features);
      CHECK(shard.targets() == shape.targets);
      CHECK(shard.classes() == shape.classes);
      CHECK(shard.has_weights() == shape.weights);
      std::vector<std::uint64_t> counts(shape.classes);
      for (std::uint32_t i = 0; i < rows; ++i) {
        const auto features = shard.row(i);
        CHECK(std::equal(features.begin(), features.end(), written[i].features.begin()));
        CHECK(shard.weight(i) == written[i].weight);
        if (shape.classes > 0) {
          CHECK(shard.label(i) == written[i].label);
          ++counts[written[i].label];
        } else {
          const auto numbers = shard.numbers(i);
          CHECK(std::vector<float>(numbers.begin(), numbers.end()) == written[i].numbers);
        }
      }
      CHECK(entry.class_counts == counts);
    }
  }
}

TEST_CASE("shard: every truncation, every added byte and every flipped bit is refused") {
  const test::Scratch dir;
  write_example(dir / "good.dls");
  const std::string good = read_file(dir / "good.dls", 1 << 20);
  REQUIRE(good.size() == 192);
  const auto refused = [&](const std::string& bytes) {
    test::write_quickly(dir / "bad.dls", bytes);
    return code_of_reading(dir / "bad.dls") == Exit::data;
  };
  CHECK_FALSE(refused(good));
  for (std::size_t length = 0; length < good.size(); ++length) {
    CAPTURE(length);
    CHECK(refused(good.substr(0, length)));
  }
  CHECK(refused(good + '\0'));
  CHECK(refused(good + good.substr(128)));
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    CAPTURE(bit);
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    CHECK(refused(bad));
  }
  // Two blocks that changed places.
  CHECK(refused(good.substr(0, 64) + good.substr(128) + good.substr(64, 64)));
}

TEST_CASE("shard: a header whose checksum is right but whose numbers make no sense is refused") {
  const test::Scratch dir;
  write_example(dir / "good.dls");
  const std::string good = read_file(dir / "good.dls", 1 << 20);
  const auto with = [&](std::size_t offset, std::uint64_t value, std::size_t size) {
    std::string bad = good;
    std::memcpy(bad.data() + offset, &value, size);
    const std::uint32_t sum = crc32c(as_bytes_of(std::string_view(bad).substr(0, 60)));
    std::memcpy(bad.data() + 60, &sum, 4);
    test::write_quickly(dir / "bad.dls", bad);
    return code_of_reading(dir / "bad.dls");
  };
  CHECK(with(8, 1, 4) == Exit::ok);
  CHECK(with(8, 2, 4) == Exit::data);            // version
  CHECK(with(12, 2, 4) == Exit::data);           // unknown flag
  CHECK(with(16, UINT32_MAX, 4) == Exit::data);  // rows
  CHECK(with(20, 0, 4) == Exit::data);           // features
  CHECK(with(20, UINT32_MAX, 4) == Exit::data);
  CHECK(with(20, kMostFeatures, 4) == Exit::data);
  CHECK(with(24, 1, 4) == Exit::data);           // targets beside classes
  CHECK(with(28, 1, 4) == Exit::data);           // a row has class 1
  CHECK(with(28, 0, 4) == Exit::data);           // neither classes nor targets
  CHECK(with(28, UINT32_MAX, 4) == Exit::data);
  CHECK(with(32, 0, 4) == Exit::data);           // rows of a block
  CHECK(with(32, UINT32_MAX, 4) == Exit::data);
  CHECK(with(36, 1, 4) == Exit::data);           // reserved
  CHECK(with(48, 1, 4) == Exit::data);
  CHECK(with(56, 1, 4) == Exit::data);
  CHECK(with(40, 128, 8) == Exit::data);         // size
}

TEST_CASE("shard: version 1 has the golden bytes, and they are read") {
  const test::Scratch dir;
  write_example(dir / "example.dls");
  const fs::path golden = fs::path(DL_GOLDEN_DIR) / "shard-v1.dls";
  CHECK(read_file(dir / "example.dls", 1 << 20) == read_file(golden, 1 << 20));
  const Shard shard(golden);
  CHECK(shard.rows() == 3);
  CHECK(shard.row(2)[1] == 1.5F);
  CHECK(shard.label(2) == 1);
}

TEST_CASE("shard: a digest that is not the manifest's is named") {
  const test::Scratch dir;
  ShardEntry entry = write_example(dir / "a.dls");
  entry.sha256[0] = entry.sha256[0] == '0' ? '1' : '0';
  const auto complaint = test::complaint_of([&] { verify_digest(dir.path(), entry); });
  CHECK(complaint.code == Exit::data);
  CHECK(test::contains(complaint.text, "a.dls"));
  entry.file = "missing.dls";
  CHECK(test::complaint_of([&] { verify_digest(dir.path(), entry); }).code == Exit::no_input);
}

TEST_CASE("shard: a full disk leaves nothing") {
  const test::Scratch dir;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{100, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto complaint = test::complaint_of([&] { write_example(dir / "a.dls"); });
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(complaint.code == Exit::io);
  CHECK(fs::is_empty(dir.path()));
}
