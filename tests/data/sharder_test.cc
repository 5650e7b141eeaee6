// SPDX-License-Identifier: MIT
#include "data/sharder.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <map>

#include "base/rng.h"
#include "data/fixtures.h"
#include "data/raw_rows.h"
#include "data/shard.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

ShardOptions options_for(const test::Scratch& dir, const std::string& text) {
  test::write_quickly(dir / "t.csv", text);
  ShardOptions options;
  options.input.files = {(dir / "t.csv").string()};
  options.directory = dir / "m";
  options.shards = 2;
  options.memory = std::size_t{1} << 20;  // allocated anew for each
  return options;
}

std::map<std::string, std::string> files_in(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    files[entry.path().filename().string()] = read_file(entry.path(), 1 << 26);
  }
  return files;
}

std::vector<ShardEntry> all_entries(const Manifest& manifest) {
  std::vector<ShardEntry> entries = manifest.shards;
  entries.insert(entries.end(), manifest.test.begin(), manifest.test.end());
  entries.insert(entries.end(), manifest.validation.begin(), manifest.validation.end());
  return entries;
}

// A table of `rows` random rows: a row's number, some columns, and a class or a number.
std::string random_table(Rng& rng, std::uint64_t rows, bool classes) {
  const std::uint64_t columns = rng.below(5);
  std::string text;
  for (std::uint64_t i = 0; i < rows; ++i) {
    text += std::to_string(i);
    for (std::uint64_t k = 0; k < columns; ++k) text += fmt::format(",{}", rng.uniform(-5, 5));
    text += classes ? fmt::format(",c{}\n", i < 2 ? i : rng.below(4))
                    : fmt::format(",{}.5\n", 1000 + rng.below(1000));
  }
  return text;
}

constexpr const char* kSmall = "1,2,a\n3,4,b\n5,6,a\n7,8,b\n9,10,a\n11,12,b\n";

}  // namespace

TEST_CASE("sharder: every row is in exactly one shard or held out, transformed as the schema says") {
  Rng rng(11, Purpose::test);
  for (int round = 0; round < 36; ++round) {  // twice through 3 strategies x 3 scales x 2 tasks
    CAPTURE(round);
    const test::Scratch dir;
    const std::uint64_t rows = 10 + rng.below(300);
    const bool classes = round / 9 % 2 == 0;
    ShardOptions options = options_for(dir, random_table(rng, rows, classes));
    options.shards = static_cast<std::uint32_t>(1 + rng.below(5));
    options.by = static_cast<By>(round % 3);
    options.fit.scale = static_cast<Scale>(round / 3 % 3);
    options.seed = rng.next64();
    options.test = 0.1 * static_cast<double>(rng.below(4));
    options.validation = 0.1 * static_cast<double>(rng.below(3));
    const Manifest manifest = make_shards(options);
    CHECK(read_manifest(options.directory).to_json() == manifest.to_json());
    CHECK(verify_shards(options.directory, manifest).empty());

    RawRows raw(manifest.schema, options.input.files);
    RawChunk wanted;
    REQUIRE(raw.read(1000, wanted) == rows);
    const std::uint32_t width = manifest.schema.features();
    std::map<std::vector<float>, std::size_t> row_of;
    for (std::size_t i = 0; i < rows; ++i) {
      row_of[{&wanted.features[i * width], &wanted.features[i * width] + width}] = i;
    }
    REQUIRE(row_of.size() == rows);
    std::vector<int> seen(rows);
    for (const ShardEntry& entry : all_entries(manifest)) {
      const Shard shard(options.directory / entry.file);
      REQUIRE(shard.rows() == entry.samples);
      std::size_t before = 0;
      for (std::uint32_t i = 0; i < shard.rows(); ++i) {
        const auto at = row_of.find({shard.row(i).begin(), shard.row(i).end()});
        REQUIRE(at != row_of.end());
        ++seen[at->second];
        CHECK((i == 0 || at->second > before));  // the order of the input
        before = at->second;
        if (classes) {
          CHECK(shard.label(i) == wanted.classes[at->second]);
        } else {
          CHECK(shard.numbers(i)[0] == wanted.numbers[at->second]);
        }
      }
    }
    CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  }
}

TEST_CASE("sharder: scalings are fitted on the training part only") {
  const test::Scratch dir;
  std::string text;
  for (int i = 0; i < 200; ++i) text += fmt::format("{},{}\n", i * i, i % 2);
  for (const Scale scale : {Scale::standard, Scale::minmax, Scale::none}) {
    ShardOptions options = options_for(dir, text);
    options.fit.scale = scale;
    options.test = 0.3;
    options.force = true;
    const Manifest manifest = make_shards(options);
    double sum = 0;
    double squares = 0;
    float least = INFINITY;
    float largest = -INFINITY;
    for (const ShardEntry& entry : manifest.shards) {
      const Shard shard(options.directory / entry.file);
      for (std::uint32_t i = 0; i < shard.rows(); ++i) {
        const float x = shard.row(i)[0];
        sum += x;
        squares += static_cast<double>(x) * x;
        least = std::min(least, x);
        largest = std::max(largest, x);
      }
    }
    if (scale == Scale::standard) {
      CHECK(std::abs(sum / 140) < 1e-6);
      CHECK(squares / 140 == doctest::Approx(1));
    } else if (scale == Scale::minmax) {
      CHECK(least == 0);
      CHECK(largest == 1);
    } else {
      CHECK(manifest.schema.columns[0].scaling == Scaling{});
    }
  }
}

TEST_CASE("sharder: a column's number is not taken for a name, nor its row for a header") {
  const test::Scratch dir;
  for (const char* const label : {"-1", "0"}) {
    ShardOptions options = options_for(dir, "0,-1,1\n1,5,0\n0,6,1\n1,7,0\n");
    options.input.columns.labels = label;
    options.test = 0;
    options.force = true;
    const Manifest manifest = make_shards(options);
    CHECK_FALSE(manifest.schema.input.header);
    CHECK(manifest.training_samples() == 4);
  }
  // The same for names that are numbers, when raw rows are read again.
  ShardOptions options = options_for(dir, "0,1,kind\n4,5,a\n6,7,b\n0,9,a\n8,8,b\n");
  options.force = true;
  options.input.header = true;
  const Manifest manifest = make_shards(options);
  write_file(dir / "raw.csv", "0,9\n1,1\n");
  RawChunk chunk;
  CHECK(RawRows(manifest.schema, {(dir / "raw.csv").string()}).read(9, chunk) == 2);
}

TEST_CASE("sharder: a number to predict is standardised with --scale, and left alone without") {
  const test::Scratch dir;
  std::string text = "size;price\n";
  for (int i = 0; i < 100; ++i) text += fmt::format("{};{}.25\n", i, 300000 + 1000 * i);
  ShardOptions options = options_for(dir, text);
  options.fit.scale = Scale::minmax;
  Manifest manifest = make_shards(options);
  CHECK(manifest.schema.task == Task::regression);
  CHECK(manifest.schema.input.separator == ';');
  CHECK(manifest.schema.input.header);
  CHECK(manifest.schema.target().name == "price");
  const Shard test(options.directory / "test.dls");
  CHECK(std::abs(test.numbers(0)[0]) < 3);
  const double price = manifest.schema.unscale_target(test.numbers(0)[0]);
  CHECK(price >= 300000);
  CHECK(price <= 400000);
  options.fit.scale = Scale::none;
  options.force = true;
  manifest = make_shards(options);
  CHECK(manifest.schema.target().scaling == Scaling{});
  CHECK(Shard(options.directory / "test.dls").numbers(0)[0] >= 300000.0F);
}

TEST_CASE("sharder: the same input, options and seed give the same bytes") {
  const test::Scratch dir;
  Rng rng(5, Purpose::test);
  ShardOptions options = options_for(dir, random_table(rng, 500, true));
  options.validation = 0.1;
  make_shards(options);
  const auto first = files_in(options.directory);
  CHECK(first.size() == 5);
  options.directory = dir / "again" / "and" / "deep";
  make_shards(options);
  CHECK(files_in(options.directory) == first);
  options.directory = dir / "other";
  options.seed = 2;
  make_shards(options);
  CHECK(files_in(options.directory) != first);
}

TEST_CASE("sharder: a directory that holds a manifest is replaced only by force, and then whole") {
  const test::Scratch dir;
  ShardOptions options = options_for(dir, kSmall);
  options.shards = 4;
  options.test = 0.3;
  make_shards(options);
  const auto before = files_in(options.directory);
  CHECK(before.contains("shard-0003.dls"));
  const auto complaint = test::complaint_of([&] { make_shards(options); });
  CHECK(complaint.code == Exit::cannot_create);
  CHECK(test::contains(complaint.text, "--force"));
  CHECK(files_in(options.directory) == before);
  write_file(options.directory / "notes.txt", "mine");
  write_file(options.directory / ".shard-0009.dls.99999.0.tmp", "left by a killed run");
  options.force = true;
  options.shards = 2;
  options.test = 0;
  make_shards(options);
  const auto after = files_in(options.directory);
  CHECK(after.size() == 4);
  CHECK(after.contains("notes.txt"));
  CHECK_FALSE(after.contains("test.dls"));
  // A run by force that fails before it is done leaves the old ones.
  write_file(dir / "t.csv", "1,2,a\n3,x,b\n");
  CHECK(test::complaint_of([&] { make_shards(options); }).code == Exit::data);
  CHECK(files_in(options.directory) == after);
}

TEST_CASE("sharder: what is learnt from nothing, and names taken for data, are told") {
  const test::Scratch dir;
  ShardOptions options = options_for(dir, "c,d,y\nu,v,p\nv,u,n\nu,u,p\nv,v,n\nu,v,p\nv,u,n\n");
  std::string said;
  options.note = [&](Level level, const std::string& text) {
    if (level == Level::warning) said += text + "\n";
  };
  options.test = 0;
  make_shards(options);
  CHECK(test::contains(said, "no other row is of its class, 'y'; if it names the columns, say --header yes"));
  said.clear();
  options.input.header = true;
  options.force = true;
  make_shards(options);
  CHECK(said.empty());

  ShardOptions weightless = options_for(dir, "1,0,a\n2,0,b\n3,0,a\n4,0,b\n");
  weightless.directory = dir / "w";
  weightless.input.columns.weight = "1";
  const auto complaint = test::complaint_of([&] { make_shards(weightless); });
  CHECK(complaint.code == Exit::data);
  CHECK(test::contains(complaint.text, "all training rows weigh 0"));
}

TEST_CASE("sharder: any number of threads writes the same bytes, and one that fails ends all") {
  Rng rng(3, Purpose::test);
  for (const By by : {By::random, By::stratified, By::weighted}) {
    const test::Scratch dir;
    ShardOptions options = options_for(dir, random_table(rng, 5000, true));
    options.shards = 5;
    options.by = by;
    if (by == By::weighted) options.weights = {1, 2, 3, 4, 0};
    options.threads = 1;
    make_shards(options);
    const auto one = files_in(options.directory);
    for (const unsigned threads : {2U, 3U, 8U}) {
      CAPTURE(threads);
      options.threads = threads;
      options.directory = dir / fmt::format("m{}", threads);
      make_shards(options);
      CHECK(files_in(options.directory) == one);
    }
  }
  const test::Scratch dir;
  ShardOptions options = options_for(dir, "1e-3,a\n2e-3,b\n1e-3,a\n2e-3,b\n3e38,a\n2e-3,b\n");
  options.threads = 3;
  options.test = 0.4;  // the large one may be held out, and then it does not fit
  options.shards = 2;
  for (options.seed = 1; options.seed < 12; ++options.seed) {
    options.directory = dir / fmt::format("s{}", options.seed);
    const auto complaint = test::complaint_of([&] { make_shards(options); });
    CHECK((complaint.code == Exit::ok || test::contains(complaint.text, "too large for a float32")));
    CHECK(fs::exists(options.directory) == (complaint.code == Exit::ok));
  }
}

TEST_CASE("sharder: bad tables are 65 and leave nothing") {
  const test::Scratch dir;
  const auto refused = [&](const std::string& text, std::uint32_t shards = 2) {
    ShardOptions options = options_for(dir, text);
    options.shards = shards;
    const auto complaint = test::complaint_of([&] { make_shards(options); });
    CHECK(complaint.code == Exit::data);
    CHECK_FALSE(fs::exists(options.directory));
    return complaint.text;
  };
  CHECK(test::contains(refused(""), "is empty"));
  CHECK(test::contains(refused("x,y,kind\n"), "every label is 'kind'"));
  CHECK(test::contains(refused("1,2,a\n3,4,b\n5,a\n"), "row 3: 2 cells"));
  CHECK(test::contains(refused("1,2,a\n3,4,a\n5,6,a\n"), "every label is 'a'"));
  CHECK(test::contains(refused("1\n2\n3\n"), "a row has one cell"));
  CHECK(test::contains(refused("1,2,a\n3,4,b\xe4\n"), "row 2, column 2: the label"));
  CHECK(test::contains(refused("x\xff,kind\n1,2\n2,3\n"), "is not UTF-8"));
  CHECK(test::contains(refused(kSmall, 6), "5 training samples (of 6) are fewer than the 6 shards"));
  // A held-out value so far from the (constant) training part that float32 cannot hold it.
  std::string wild = "-3e38,a\n";
  for (int i = 0; i < 50; ++i) wild += "-3e38,b\n";
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
    ShardOptions options = options_for(dir, wild + "3e38,a\n");
    options.seed = seed;
    options.fit.scale = Scale::standard;
    options.force = true;
    const auto complaint = test::complaint_of([&] { make_shards(options); });
    CHECK((complaint.code == Exit::ok || test::contains(complaint.text, "sample 51 (from 0), column '0'")));
  }
  ShardOptions options = options_for(dir, kSmall);
  options.directory = dir / "n";
  options.input.columns.labels = "a";
  options.input.header = true;
  write_file(dir / "t.csv", "1,2,a\n");
  CHECK(test::contains(test::complaint_of([&] { make_shards(options); }).text, "has no rows below"));
  options.input.header.reset();
  options.input.columns.labels = "kind";
  CHECK(test::complaint_of([&] { make_shards(options); }).code == Exit::data);
  options.input.columns.labels = "";
  options.input.files = {(dir / "missing.csv").string()};
  CHECK(test::complaint_of([&] { make_shards(options); }).code == Exit::no_input);
  CHECK_FALSE(fs::exists(options.directory));
}

TEST_CASE("sharder: a stop at any moment leaves nothing") {
  const test::Scratch dir;
  std::string text;
  for (int i = 0; i < 40000; ++i) text += fmt::format("{}.5,{},{}\n", i, i % 7, i % 3);
  ShardOptions options = options_for(dir, text);
  int calls = 0;
  options.progress = [&](const ShardProgress&) { ++calls; };
  make_shards(options);
  fs::remove_all(options.directory);
  REQUIRE(calls > 20);
  for (int stop = 0; stop < calls; ++stop) {
    int call = 0;
    options.progress = [&](const ShardProgress&) {
      if (call++ == stop) fail(static_cast<Exit>(130), "stopped");
    };
    CHECK(test::complaint_of([&] { make_shards(options); }).code == static_cast<Exit>(130));
    CHECK_FALSE(fs::exists(options.directory));
  }
}

TEST_CASE("sharder: a full disk is 74 and leaves nothing, wherever it fills up") {
  const test::Scratch dir;
  std::string text;
  for (int i = 0; i < 3000; ++i) text += fmt::format("{}.5,{},{}\n", i, i % 7, i % 3);
  const ShardOptions options = options_for(dir, text);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  for (const rlim_t bytes : {0U, 1U, 64U, 1000U, 8192U, 14000U}) {
    const rlimit small{bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const auto complaint = test::complaint_of([&] { make_shards(options); });
    setrlimit(RLIMIT_FSIZE, &before);
    CAPTURE(bytes);
    CHECK(complaint.code == Exit::io);
    CHECK_FALSE(fs::exists(options.directory));
  }
}

TEST_CASE("sharder: verify names each bad file") {
  const test::Scratch dir;
  const ShardOptions options = options_for(dir, kSmall);
  Manifest manifest = make_shards(options);
  std::string bytes = read_file(options.directory / "shard-0001.dls", 1 << 20);
  bytes[70] = static_cast<char>(bytes[70] ^ 1);
  write_file(options.directory / "shard-0001.dls", bytes);
  fs::remove(options.directory / "test.dls");
  const auto bad = verify_shards(options.directory, manifest);
  REQUIRE(bad.size() == 2);
  CHECK(test::contains(bad[0], "shard-0001.dls"));
  CHECK(test::contains(bad[1], "test.dls"));
}
