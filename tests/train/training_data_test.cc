// SPDX-License-Identifier: MIT
#include "train/training_data.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "support/scratch.h"
#include "support/tiny_data.h"

using namespace dl;
using train::DataSource;
using train::TrainingData;

namespace {

struct Stock {  // files under their names, as a coordinator has them
  test::Scratch dir;
  std::string digest;
  std::vector<std::string> fetched;
  std::vector<std::uint64_t> bounds;
  Stock() {
    test::make_tiny_data(dir.path(), {40, 30, 20});
    digest = data::manifest_digest(dir.path());
  }
  DataSource source(const fs::path& directory, bool demanded) {
    return {directory, demanded,
            [this](const std::string& name, const std::string&, std::uint64_t most) {
              fetched.push_back(name);
              bounds.push_back(most);
              return dir / name;
            },
            {}};
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("training data: without a directory, what is held is fetched, and nothing else") {
  Stock stock;
  TrainingData data(stock.source("", false), stock.digest);
  CHECK(stock.fetched == Names{"manifest.json"});
  data.hold(std::vector<std::uint32_t>{0, 2});
  CHECK(stock.fetched == Names{"manifest.json", "shard-0000.dls", "shard-0002.dls"});
  data.hold(std::vector<std::uint32_t>{1, 2});
  CHECK(stock.fetched.back() == "shard-0001.dls");
  CHECK(stock.fetched.size() == 4);
  CHECK(data.shard(1).rows() == 30);
  CHECK(data.test()[0].rows() == 300);
  CHECK(stock.fetched.back() == "test.dls");
  for (std::size_t i = 0; i < stock.fetched.size(); ++i) {
    CHECK(fs::file_size(stock.dir / stock.fetched[i]) <= stock.bounds[i]);
  }
}

TEST_CASE("training data: a directory that nobody demanded counts with the run's manifest only") {
  Stock stock;
  const test::Scratch other, same;
  TrainingData nowhere(stock.source(other / "none", false), stock.digest);
  CHECK(stock.fetched == Names{"manifest.json"});
  test::make_tiny_data(other.path(), {40, 30});
  TrainingData passed_over(stock.source(other.path(), false), stock.digest);
  CHECK(stock.fetched.size() == 2);
  passed_over.hold(std::vector<std::uint32_t>{0});
  CHECK(stock.fetched.back() == "shard-0000.dls");  // though a file of that name is there

  stock.fetched.clear();
  fs::copy(stock.dir.path(), same.path());
  fs::remove(same / "shard-0001.dls");
  TrainingData seen(stock.source(same.path(), false), stock.digest);
  seen.hold(std::vector<std::uint32_t>{0, 1, 2});
  CHECK(stock.fetched == Names{"shard-0001.dls"});
}

TEST_CASE("training data: a demanded directory has the run's manifest, and no file of it is passed over") {
  Stock stock;
  const auto code_of = [](const auto& work) {
    try {
      work();
    } catch (const Error& error) {
      return error.code();
    }
    return Exit::ok;
  };
  const test::Scratch other;
  CHECK(code_of([&] { TrainingData(stock.source(other / "none", true), stock.digest); }) == Exit::no_input);
  test::make_tiny_data(other.path(), {40, 30});
  CHECK(code_of([&] { TrainingData(stock.source(other.path(), true), stock.digest); }) == Exit::disagree);
  TrainingData data(stock.source(stock.dir.path(), true), stock.digest);
  write_file(stock.dir / "shard-0000.dls", "rubbish");
  CHECK(code_of([&] { data.hold(std::vector<std::uint32_t>{0}); }) == Exit::data);
  CHECK(code_of([&] { data.hold(std::vector<std::uint32_t>{3}); }) == Exit::disagree);
  CHECK(stock.fetched.empty());
}
