// SPDX-License-Identifier: MIT
#include "data/append.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "base/rng.h"
#include "data/export.h"
#include "data/fixtures.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::data;

namespace {

// Rows `from` up to `to`: number, a word, a key of which many rows have the same, a class.
std::string rows_of(std::uint64_t from, std::uint64_t to, double shift = 0) {
  std::string text = "x,word,user,kind\n";
  for (std::uint64_t i = from; i < to; ++i) {
    Rng rng(5, Purpose::test, static_cast<std::uint32_t>(i));
    text += fmt::format("{:.6f},w{},u{},{}\n", rng.uniform_double() + shift, rng.below(3), rng.below(40),
                        i % 2 == 0 ? "yes" : "no");
  }
  return text;
}

struct Old {
  explicit Old(const std::string& text = rows_of(0, 300), By by = By::random) {
    test::write_quickly(dir / "old.csv", text);
    options.input.files = {(dir / "old.csv").string()};
    options.directory = dir / "m";
    options.shards = 3;
    options.by = by;
    if (by == By::hash) {
      options.input.columns.key = "user";
    } else {
      options.input.columns.ignored = "user";
    }
    manifest = make_shards(options);
  }

  ShardOptions more(const std::string& text, std::uint32_t shards = 2) const {
    test::write_quickly(dir / "new.csv", text);
    ShardOptions add;
    add.input.files = {(dir / "new.csv").string()};
    add.directory = options.directory;
    keep_strategy(manifest, add);
    add.shards = shards;
    return add;
  }

  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::directory_iterator(options.directory)) {
      all[entry.path().filename().string()] = read_file(entry.path(), 1 << 26);
    }
    return all;
  }

  std::vector<std::string> exported(const std::string& split) const {
    std::string text;
    export_csv(options.directory, read_manifest(options.directory), split,
               [&](std::string_view part) { text += part; });
    std::vector<std::string> lines;
    for (std::size_t at = text.find('\n') + 1; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      lines.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return lines;
  }

  test::Scratch dir;
  ShardOptions options;
  Manifest manifest;
};

}  // namespace

TEST_CASE("append: old files stay, each new row is in one new shard or part, the schema is the old one") {
  const Old old;
  const auto before = old.files();
  const auto rows_before = old.exported("train").size() + old.exported("test").size();
  const Appended added = append_shards(old.more(rows_of(300, 420)));
  const auto after = old.files();
  for (const auto& [name, bytes] : before) {
    CAPTURE(name);
    if (name != "manifest.json") CHECK(after.at(name) == bytes);
  }
  const Manifest now = read_manifest(old.options.directory);
  CHECK(now.to_json() == added.manifest.to_json());
  CHECK(now.schema == old.manifest.schema);
  CHECK(now.shards.size() == 5);
  CHECK(now.test.size() == 2);
  CHECK(added.training == 96);
  CHECK(added.test == 24);
  CHECK(verify_shards(old.options.directory, now).empty());
  CHECK(rows_before == 300);

  std::vector<std::string> all = old.exported("train");
  const std::vector<std::string> test = old.exported("test");
  all.insert(all.end(), test.begin(), test.end());
  std::sort(all.begin(), all.end());
  Old whole(rows_of(0, 420));  // the same rows, made at once: other transforms, the same cells
  std::vector<std::string> wanted = whole.exported("train");
  const std::vector<std::string> held = whole.exported("test");
  wanted.insert(wanted.end(), held.begin(), held.end());
  std::sort(wanted.begin(), wanted.end());
  CHECK(all == wanted);
}

TEST_CASE("append: again and again, and the same rows give the same bytes") {
  const Old a, b;
  for (const Old* old : {&a, &b}) {
    append_shards(old->more(rows_of(300, 420)));
    append_shards(old->more(rows_of(420, 500), 1));
  }
  CHECK(a.files() == b.files());
  CHECK(read_manifest(a.options.directory).shards.size() == 6);
  CHECK(read_manifest(a.options.directory).test.size() == 3);
  CHECK(fs::exists(a.options.directory / "test-0002.dls"));
}

TEST_CASE("append: rows of a key that is held out are held out later too") {
  const Old old(rows_of(0, 600), By::hash);
  append_shards(old.more(rows_of(600, 1200)));
  const Old whole(rows_of(0, 1200), By::hash);
  std::vector<std::string> test = old.exported("test");
  std::vector<std::string> wanted = whole.exported("test");
  std::sort(test.begin(), test.end());
  std::sort(wanted.begin(), wanted.end());
  CHECK(test.size() > 20);
  CHECK(test == wanted);
}

TEST_CASE("append: what has moved is told, the furthest first") {
  const Old old;
  const Appended calm = append_shards(old.more(rows_of(300, 500)));
  CHECK(calm.drift.front().deviations < 0.3);
  const Appended moved = append_shards(old.more(rows_of(500, 700, 2)));
  REQUIRE_FALSE(moved.drift.empty());
  CHECK(moved.drift.front().feature == "x");
  CHECK(moved.drift.front().now - moved.drift.front().before == doctest::Approx(2).epsilon(0.1));
  CHECK(moved.drift.front().deviations > 4);
  CHECK(moved.label_shift.value() < 0.1);
}

TEST_CASE("append: what does not fit changes nothing") {
  const Old old;
  const auto before = old.files();
  const auto refused = [&](const std::string& text) {
    const auto complaint = test::complaint_of([&] { append_shards(old.more(text)); });
    CHECK(complaint.code == Exit::data);
    CHECK(old.files() == before);
    return complaint.text;
  };
  CHECK(test::contains(refused("x,word,user,kind\n1,w1,u1,maybe\n"),
                       "row 2, column 3 ('kind'): 'maybe' is none of the 2 classes that the shards have"));
  CHECK(test::contains(refused("x,word,user\n1,w1,u1\n"), "has no column 'kind'"));
  CHECK(test::contains(refused("x,user,kind\n1,u1,yes\n"), "there is no column 'word'"));
  CHECK(test::contains(refused("x,word,user,kind\n1,w1,u1,yes\nold,w1,u1,no\n"), "row 3, column 0 ('x'): 'old'"));
  CHECK(test::contains(refused("x,word,user,kind\n"), "has no rows below its header"));
  ShardOptions key = old.more(rows_of(0, 9));
  key.by = By::hash;
  CHECK(test::complaint_of([&] { append_shards(key); }).code == Exit::usage);
  ShardOptions nowhere = old.more(rows_of(0, 9));
  nowhere.directory = old.dir / "nothing";
  CHECK(test::complaint_of([&] { append_shards(nowhere); }).code == Exit::no_input);
  CHECK_FALSE(fs::exists(nowhere.directory));
}

TEST_CASE("append: one at a time") {
  const Old old;
  const auto lock = FileLock::try_lock(old.options.directory / "manifest.json");
  REQUIRE(lock);
  CHECK(test::complaint_of([&] { append_shards(old.more(rows_of(300, 320))); }).code == Exit::again);
}
