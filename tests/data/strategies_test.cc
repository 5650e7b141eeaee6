// SPDX-License-Identifier: MIT
// Tables in, shards out, by each strategy: what no step alone can show.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "base/rng.h"
#include "data/fixtures.h"
#include "data/shard.h"
#include "data/sharder.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

// Rows "number,user,kind": the number is the row's own, user one of some.
struct Table {
  std::string text = "number,user,kind\n";
  std::vector<int> users;  // by row

  void add(Rng& rng, std::uint64_t rows, std::uint64_t users_known, bool words) {
    for (std::uint64_t i = 0; i < rows; ++i) {
      const int user = static_cast<int>(rng.below(users_known));
      text += words ? fmt::format("{},u{},", users.size(), user)
                    : fmt::format("{},{}{},", users.size(), user, rng.below(2) == 0 ? "" : ".0");
      text += users.size() < 2 ? fmt::format("c{}\n", users.size()) : fmt::format("c{}\n", rng.below(3));
      users.push_back(user);
    }
  }
};

ShardOptions options_for(const test::Scratch& dir, const std::string& text) {
  test::write_quickly(dir / "t.csv", text);
  ShardOptions options;
  options.input.files = {(dir / "t.csv").string()};
  options.directory = dir / "m";
  options.fit.scale = Scale::none;
  options.memory = std::size_t{1} << 20;  // allocated anew for each
  options.force = true;
  return options;
}

// Where each row went: the name of a file. Each row is in exactly one.
std::vector<std::string> places_of(const ShardOptions& options, const Manifest& manifest, std::size_t rows) {
  std::vector<ShardEntry> entries = manifest.shards;
  entries.insert(entries.end(), manifest.test.begin(), manifest.test.end());
  entries.insert(entries.end(), manifest.validation.begin(), manifest.validation.end());
  std::vector<std::string> places(rows);
  for (const ShardEntry& entry : entries) {
    const Shard shard(options.directory / entry.file);
    REQUIRE(shard.rows() == entry.samples);
    for (std::uint32_t i = 0; i < shard.rows(); ++i) {
      std::string& place = places.at(static_cast<std::size_t>(shard.row(i)[0]));
      CHECK(place.empty());
      place = entry.file;
    }
  }
  CHECK(std::none_of(places.begin(), places.end(), [](const std::string& place) { return place.empty(); }));
  return places;
}

std::map<std::string, std::string> files_in(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    files[entry.path().filename().string()] = read_file(entry.path(), 1 << 26);
  }
  return files;
}

}  // namespace

// Few tables, because each file is synchronised; placement_test.cc has hundreds.
TEST_CASE("strategies: each row of a table is in exactly one shard or part, and the same one again") {
  Rng rng(91, Purpose::test);
  for (int round = 0; round < 28; ++round) {
    const By by = static_cast<By>(round % 7);
    CAPTURE(name_of(by));
    CAPTURE(round);
    const test::Scratch dir;
    Table table;
    table.add(rng, 60 + rng.below(200), 40, round % 2 == 0);
    ShardOptions options = options_for(dir, table.text);
    options.by = by;
    options.shards = static_cast<std::uint32_t>(1 + rng.below(4));
    options.seed = rng.next64();
    options.weights.assign(options.shards, 1);
    options.weights.back() = 2.5;
    if (by == By::hash) options.input.columns.key = "user";
    options.test = 0.1 * static_cast<double>(rng.below(4));
    options.validation = 0.1 * static_cast<double>(rng.below(3));
    const Manifest manifest = make_shards(options);
    CHECK(read_manifest(options.directory).to_json() == manifest.to_json());
    CHECK(verify_shards(options.directory, manifest).empty());
    CHECK(manifest.by == name_of(by));
    CHECK(manifest.weights.empty() == (by != By::weighted));
    CHECK(manifest.alpha.has_value() == (by == By::dirichlet));
    CHECK(manifest.key == (by == By::hash ? "user" : ""));
    places_of(options, manifest, table.users.size());
    const auto files = files_in(options.directory);
    make_shards(options);
    CHECK(files_in(options.directory) == files);
  }
}

TEST_CASE("strategies: the rows of a key are in one place, also of a table that has grown") {
  Rng rng(92, Purpose::test);
  for (int round = 0; round < 12; ++round) {
    const test::Scratch dir;
    const bool words = round % 2 == 0;
    Table table;
    table.add(rng, 200, 60, words);
    std::map<int, std::string> place_of;
    for (int run = 0; run < 2; ++run) {
      ShardOptions options = options_for(dir, table.text);
      options.by = By::hash;
      options.input.columns.key = "user";
      options.seed = static_cast<std::uint64_t>(round);
      options.shards = 3;
      options.validation = 0.1;
      const Manifest manifest = make_shards(options);
      CHECK(manifest.schema.features() == 1);  // the key is none
      const auto places = places_of(options, manifest, table.users.size());
      for (std::size_t i = 0; i < places.size(); ++i) {
        CHECK(place_of.emplace(table.users[i], places[i]).first->second == places[i]);
      }
      table.add(rng, 150, 90, words);
    }
  }
}

TEST_CASE("strategies: auto takes a key column as --key would have") {
  Rng rng(93, Purpose::test);
  for (const bool words : {false, true}) {
    const test::Scratch dir;
    Table table;
    table.add(rng, 600, 60, words);
    ShardOptions options = options_for(dir, table.text);
    options.shards = 3;
    options.by = By::automatic;
    std::string told;
    options.note = [&](Level, const std::string& text) { told += text + "\n"; };
    make_shards(options);
    CHECK(test::contains(told, "--by auto took hash by 'user'"));
    const auto files = files_in(options.directory);
    options.by = By::hash;
    options.input.columns.key = "user";
    make_shards(options);
    CHECK(files_in(options.directory) == files);
  }
}

TEST_CASE("strategies: copies of a row stay together by their whole row") {
  Rng rng(94, Purpose::test);
  const test::Scratch dir;
  std::string text;
  for (int i = 0; i < 600; ++i) {
    text += fmt::format("{},w{},{}\n", i % 500, i % 500 % 7, i < 2 ? i : rng.below(2));
  }
  ShardOptions options = options_for(dir, text);
  options.shards = 4;
  options.by = By::automatic;
  std::string told;
  options.note = [&](Level, const std::string& line) { told += line + "\n"; };
  const Manifest manifest = make_shards(options);
  CHECK(manifest.key == "*");
  CHECK(test::contains(told, "17 % of the rows repeat an earlier one"));
  CHECK_FALSE(manifest.schema.key);
  std::map<float, std::string> place_of;
  std::vector<ShardEntry> entries = manifest.shards;
  entries.push_back(manifest.test.at(0));
  std::uint64_t rows = 0;
  for (const ShardEntry& entry : entries) {
    const Shard shard(options.directory / entry.file);
    rows += shard.rows();
    for (std::uint32_t i = 0; i < shard.rows(); ++i) {
      CHECK(place_of.emplace(shard.row(i)[0], entry.file).first->second == entry.file);
    }
  }
  CHECK(rows == 600);
  const auto files = files_in(options.directory);
  options.by = By::hash;
  options.key_rows = true;
  make_shards(options);
  CHECK(files_in(options.directory) == files);
}

TEST_CASE("strategies: keys that leave nothing to train on are 65, empty shards are told of") {
  const test::Scratch dir;
  std::string text = "x,user,kind\n";
  for (int i = 0; i < 50; ++i) text += fmt::format("{},one,{}\n", i, i % 2);
  ShardOptions options = options_for(dir, text);
  options.by = By::hash;
  CHECK(test::complaint_of([&] { make_shards(options); }).code == Exit::usage);  // no key
  CHECK_FALSE(fs::exists(options.directory));
  options.input.columns.key = "user";
  options.shards = 3;
  options.test = 0.5;
  std::string told;
  options.note = [&](Level, const std::string& line) { told += line + "\n"; };
  int refused = 0;
  int warned = 0;
  for (options.seed = 1; options.seed <= 20; ++options.seed) {
    told.clear();
    const auto complaint = test::complaint_of([&] { make_shards(options); });
    if (complaint.code == Exit::data) {
      ++refused;
      CHECK(test::contains(complaint.text, "hash by 'user' puts no row into a shard"));
    } else {
      warned += test::contains(told, "leaves 2 of 3 shards empty") && test::contains(told, "no key into the test part");
    }
  }
  CHECK(refused > 0);
  CHECK(refused + warned == 20);
}
