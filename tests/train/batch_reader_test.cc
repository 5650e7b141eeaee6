// SPDX-License-Identifier: MIT
#include "train/batch_reader.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "support/scratch.h"
#include "support/tiny_data.h"

using namespace dl;

namespace {

int id_of(const nn::Batch& batch, std::uint32_t row) {
  return static_cast<int>(std::lround(batch.features[row * test::kTinyFeatures] * 1e3F));
}

}  // namespace

TEST_CASE("batch reader: in every epoch each sample of each shard is used exactly once") {
  const test::Scratch dir;
  const std::vector<std::uint32_t> sizes = {40, 0, 7, 1, 63};
  test::make_tiny_data(dir.path(), sizes);
  train::TrainingData data(dir.path(), data::manifest_digest(dir.path()));
  const std::vector<std::uint32_t> all = {0, 1, 2, 3, 4};
  data.hold(all);
  for (const std::uint64_t batch_size : {1U, 16U, 50U, 111U, 500U}) {
    train::BatchReader reader(data, all, 5, batch_size);
    CHECK(reader.steps_per_epoch() == (111 + batch_size - 1) / batch_size);
    for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
      std::map<int, int> used;
      std::uint64_t samples = 0;
      for (std::uint64_t t = 0; t < reader.steps_per_epoch(); ++t) {
        const nn::Batch& batch = reader.read(epoch * reader.steps_per_epoch() + t);
        CHECK(batch.rows == reader.samples_of_step());
        CHECK(batch.offsets.back() == batch.rows);
        samples += batch.rows;
        for (std::uint32_t r = 0; r < batch.rows; ++r) ++used[id_of(batch, r)];
      }
      CHECK(samples == 111);
      CHECK(used.size() == 111);
      for (const auto& [id, times] : used) CHECK(times == 1);
    }
  }
}

TEST_CASE("batch reader: a shard's rows of a step do not depend on who else is held") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), {30, 20, 10});
  train::TrainingData data(dir.path(), data::manifest_digest(dir.path()));
  data.hold(std::vector<std::uint32_t>{0, 1, 2});
  train::BatchReader all(data, {0, 1, 2}, 9, 12);
  train::BatchReader one(data, {1}, 9, 12);
  for (const std::uint64_t step : {0U, 3U, 5U, 14U, 2U}) {  // any order of steps
    const nn::Batch whole = all.read(step);
    const nn::Batch& part = one.read(step);
    REQUIRE(part.rows == whole.offsets[2] - whole.offsets[1]);
    for (std::uint32_t r = 0; r < part.rows; ++r) {
      CHECK(id_of(part, r) == id_of(whole, whole.offsets[1] + r));
    }
  }
}

TEST_CASE("training data: another manifest is 76, a flipped bit in a shard 65") {
  const test::Scratch dir;
  test::make_tiny_data(dir.path(), {30, 20});
  const std::string digest = data::manifest_digest(dir.path());
  const auto code = [](auto&& what) {
    try {
      what();
    } catch (const Error& e) {
      return e.code();
    }
    return Exit::ok;
  };
  CHECK(code([&] { train::TrainingData(dir.path(), std::string(64, '0')); }) == Exit::disagree);
  std::string bytes = read_file(dir / "shard-0001.dls", 1 << 20);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  write_file(dir / "shard-0001.dls", bytes);
  train::TrainingData data(dir.path(), digest);
  CHECK(code([&] { data.hold(std::vector<std::uint32_t>{0}); }) == Exit::ok);
  CHECK(code([&] { data.hold(std::vector<std::uint32_t>{0, 1}); }) == Exit::data);
}
