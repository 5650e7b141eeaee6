// SPDX-License-Identifier: MIT
#include "data/refit.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/rng.h"
#include "data/fixtures.h"
#include "data/shard.h"
#include "data/shard_writer.h"
#include "data/statistics.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

constexpr std::uint32_t kFeatures = 4;  // a number, two categories, a number

double raw(std::uint32_t id, std::uint32_t feature) {
  Rng rng(3, Purpose::test, id * 8 + feature);
  if (feature == 1 || feature == 2) return id % 2 == feature - 1 ? 1 : 0;
  return feature == 0 ? rng.uniform(-40, 200) : 7 + rng.uniform(0, 1) * (id % 5);
}
double raw_target(std::uint32_t id) { return 1000 + raw(id, 0) * 3; }

// Shards of these sizes, scaled as dl-shard would, a test part, and a validation part of 9 rows.
Manifest make(const fs::path& directory, const std::vector<std::uint32_t>& sizes, Scale scale, Task task) {
  std::uint32_t total = 0;
  for (const std::uint32_t size : sizes) total += size;
  Statistics numbers(2), targets(1);
  for (std::uint32_t id = 0; id < total; ++id) {
    numbers.add(std::vector<double>{raw(id, 0), raw(id, 3)});
    targets.add(std::vector<double>{raw_target(id)});
  }
  Manifest manifest;
  manifest.by = "contiguous";
  Schema& schema = manifest.schema;
  schema.task = task;
  schema.input.columns = 4;
  schema.columns = {test::number_column("a", 0, numbers.scaling(scale, 0)), {},
                    test::number_column("c", 2, numbers.scaling(scale, 1))};
  schema.columns[1].name = "b";
  schema.columns[1].index = 1;
  schema.columns[1].kind = Kind::category;
  schema.columns[1].categories = {"x", "y"};
  schema.targets[0].name = "t";
  schema.targets[0].index = 3;
  if (task == Task::classification) {
    schema.targets[0].classes = {"no", "yes"};
  } else if (scale != Scale::none) {
    schema.targets[0].scaling = targets.scaling(Scale::standard, 0);
  }
  std::uint32_t id = 0;
  const auto write = [&](const std::string& name, std::uint32_t rows) {
    ShardShape shape;
    shape.rows = rows;
    shape.features = kFeatures;
    shape.classes = task == Task::classification ? 2 : 0;
    shape.targets = task == Task::classification ? 0 : 1;
    shape.weights = true;
    ShardWriter writer(directory / name, shape);
    const std::vector<Scaling> scalings = schema.scalings();
    for (std::uint32_t i = 0; i < rows; ++i, ++id) {
      for (std::uint32_t f = 0; f < kFeatures; ++f) writer.row()[f] = scalings[f].apply(raw(id, f));
      const float weight = static_cast<float>(id % 3) + 0.5F;
      const float target = schema.scale_target(raw_target(id));
      if (task == Task::classification) {
        writer.end_row(id % 2, weight);
      } else {
        writer.end_row(std::span(&target, 1), weight);
      }
    }
    return writer.commit();
  };
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    manifest.shards.push_back(write(fmt::format("shard-{:04}.dls", s), sizes[s]));
  }
  manifest.test = {write("test.dls", 11)};
  manifest.validation = {write("validation.dls", 9)};
  return manifest;
}

// Numbers 0 and 3 of the shards, as they stand there.
Statistics stands(const fs::path& directory, const Manifest& manifest) {
  Statistics found(2);
  for (const ShardEntry& entry : manifest.shards) {
    const Shard shard = open_shard(directory, entry, manifest.schema);
    for (std::uint32_t r = 0; r < shard.rows(); ++r) {
      found.add(std::vector<double>{shard.row(r)[0], shard.row(r)[3]});
    }
  }
  return found;
}

// Every row of a part is the row with this number and those after it, under the new scalings.
void check_rows(const fs::path& directory, const Manifest& manifest, const ShardEntry& entry, std::uint32_t id) {
  const Shard shard = open_shard(directory, entry, manifest.schema);
  const std::vector<Scaling> scalings = manifest.schema.scalings();
  for (std::uint32_t r = 0; r < shard.rows(); ++r, ++id) {
    for (const std::uint32_t f : {0U, 3U}) {
      CHECK(shard.row(r)[f] / scalings[f].scale + scalings[f].shift == doctest::Approx(raw(id, f)).epsilon(1e-5));
    }
    CHECK(shard.row(r)[1] == raw(id, 1));
    CHECK(shard.row(r)[2] == raw(id, 2));
    CHECK(shard.weight(r) == static_cast<float>(id % 3) + 0.5F);
    if (manifest.schema.task == Task::classification) {
      CHECK(shard.label(r) == id % 2);
    } else {
      CHECK(manifest.schema.unscale_target(shard.numbers(r)[0]) == doctest::Approx(raw_target(id)).epsilon(1e-5));
    }
  }
}

}  // namespace

TEST_CASE("refit: numbers are scaled by the shards that are left, and nothing else is touched") {
  for (const Task task : {Task::classification, Task::regression}) {
    for (const Scale scale : {Scale::standard, Scale::minmax, Scale::none}) {
      CAPTURE(static_cast<int>(scale));
      const test::Scratch from, into;
      const Manifest old = make(from.path(), {40, 25, 0, 60}, scale, task);
      const Manifest made = refit(from.path(), old, 1, into / "new");
      CHECK(read_manifest(into / "new").to_json() == made.to_json());
      REQUIRE(made.shards.size() == 3);
      CHECK(made.shards[2].file == "shard-0002.dls");
      check_rows(into / "new", made, made.shards[0], 0);
      check_rows(into / "new", made, made.shards[2], 65);
      check_rows(into / "new", made, made.test.at(0), 40);
      check_rows(into / "new", made, made.validation.at(0), 136);
      const Statistics now = stands(into / "new", made);
      for (const std::size_t i : {0, 1}) {
        const Scaling rest = now.scaling(scale, i);  // nothing is left to scale
        CHECK(std::abs(rest.shift) < 1e-6);
        CHECK(rest.scale == doctest::Approx(1).epsilon(1e-6));
      }
      if (scale == Scale::none) {
        CHECK(made.shards[0].sha256 == old.shards[0].sha256);
        CHECK(made.test[0].sha256 == old.shards[1].sha256);
      } else {
        // The least and the largest may be in other shards.
        if (scale == Scale::standard) CHECK_FALSE(made.schema.columns[0].scaling == old.schema.columns[0].scaling);
        CHECK((made.schema.targets[0].scaling == old.schema.targets[0].scaling) == (task == Task::classification));
      }
      CHECK(refit(from.path(), old, 1, into / "again").to_json() == made.to_json());
    }
  }
}

TEST_CASE("refit: a damaged shard is 65 with its name, and no manifest is left") {
  const test::Scratch from, into;
  const Manifest old = make(from.path(), {10, 10, 10}, Scale::standard, Task::classification);
  write_file(from / "shard-0002.dls", "rubbish");
  const test::Complaint complaint = test::complaint_of([&] { refit(from.path(), old, 0, into / "new"); });
  CHECK(complaint.code == Exit::data);
  CHECK(test::contains(complaint.text, "shard-0002.dls"));
  CHECK_FALSE(fs::exists(into / "new" / "manifest.json"));
}
