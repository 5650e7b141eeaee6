// SPDX-License-Identifier: MIT
#include "data/survey.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "data/fixtures.h"

using namespace dl;
using namespace dl::data;

namespace {

Findings classes(std::vector<std::uint64_t> counts) {
  Findings findings;
  for (const std::uint64_t count : counts) findings.counts.samples += count;
  findings.counts.classes = std::move(counts);
  findings.distinct_rows = static_cast<double>(findings.counts.samples);
  return findings;
}

Findings numbers(std::uint64_t samples) {
  Findings findings;
  findings.counts.samples = samples;
  findings.distinct_rows = static_cast<double>(samples);
  return findings;
}

Findings::Key key(const std::string& name, double distinct, double repeats) {
  return {{name, 3, 1e15}, distinct, repeats, true};
}

std::string told(const Advice& advice) {
  std::string all;
  for (const std::string& line : advice.lines) all += line + "\n";
  return all;
}

}  // namespace

TEST_CASE("survey: columns that are called like keys") {
  for (const char* const name : {"id", "ID", "user", "user_id", "userId", "UserID", "Patient", "patient id",
                                 "subject", "CustomerID", "id_client", "machine.id", "session", "group", "device-id", "patientid"}) {
    CAPTURE(name);
    CHECK(names_a_key(name));
  }
  for (const char* const name : {"", "width", "paid", "humid", "age", "0", "identity", "user_score", "group size", "valid", "grid", "acid"}) {
    CAPTURE(name);
    CHECK_FALSE(names_a_key(name));
  }
}

TEST_CASE("survey: classes are stratified, numbers dealt out at random") {
  CHECK(advise(classes({50, 50}), 8).by == By::stratified);
  CHECK(advise(numbers(100), 8).by == By::random);
  CHECK(test::contains(told(advise(classes({50, 7}), 8)), "saw 57 rows of 2 classes, the rarest with 7"));
  // More classes than quotas can be kept of.
  CHECK(advise(classes(std::vector<std::uint64_t>(65536, 9)), 4096).by == By::random);
}

TEST_CASE("survey: a key that comes again is hashed by, the coarsest of several") {
  Findings findings = classes({5000, 5000});
  findings.keys = {key("visit_id", 3000, 0.7), key("patient", 400, 0.96), key("id", 10000, 0)};
  const Advice advice = advise(findings, 8);
  CHECK(advice.by == By::hash);
  REQUIRE(advice.key);
  CHECK(advice.key->name == "patient");
  CHECK(test::contains(told(advice), "took hash by 'patient'"));
  // Not by one with few values, one that numbers the rows, one that is missing somewhere.
  findings.keys = {key("group", 31, 0.99), key("id", 10000, 0.004), key("user", 900, 0.9)};
  findings.keys[2].complete = false;
  const Advice other = advise(findings, 8);
  CHECK(other.by == By::stratified);
  CHECK(test::contains(told(other), "'group' is no key: 31 different values are few for 8 shards"));
  CHECK(test::contains(told(other), "'id' is no key: hardly a value comes again"));
  CHECK(test::contains(told(other), "'user' is no key: some rows have none there"));
  findings.keys[0].distinct = 32;
  CHECK(advise(findings, 8).key->name == "group");
}

TEST_CASE("survey: rows that repeat are kept together by hash of the whole row") {
  Findings findings = classes({5000, 5000});
  findings.repeated_rows = 0.005;
  CHECK(advise(findings, 8).by == By::stratified);
  findings.repeated_rows = 0.0051;
  const Advice advice = advise(findings, 8);
  CHECK(advice.by == By::hash);
  CHECK_FALSE(advice.key);
  CHECK(test::contains(told(advice), "0.5 % of the rows repeat an earlier one"));
  findings.distinct_rows = 799;  // a table of a few combinations
  CHECK(advise(findings, 8).by == By::stratified);
  CHECK(test::contains(told(advise(findings, 8)), "only 799 different ones"));
}

TEST_CASE("survey: what the rows hold is found") {
  Rng rng(71, Purpose::test);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Survey survey({{"user", 1, 0x1p53}, {"word", 2, 65536}, {"id", 3, 0x1p53}, {"part", 0, 0x1p53}});
  TableCounts counts{"t.csv", 2000, std::vector<std::uint64_t>(4)};
  for (int i = 0; i < 2000; ++i) {
    const auto code = static_cast<std::uint32_t>(i / 500);
    ++counts.classes[code];
    survey.add(std::vector<double>{rng.uniform_double(), static_cast<double>(i % 100),
                                   i == 1000 ? nan : static_cast<double>(i % 10), static_cast<double>(i)}, code);
  }
  const Findings findings = survey.finish(counts);
  CHECK(findings.distinct_rows == 2000);
  CHECK(findings.repeated_rows == 0);
  CHECK(findings.disorder == doctest::Approx(3 / 1500.0));
  CHECK(test::contains(told(advise(findings, 8)), "in the order of their classes"));
  REQUIRE(findings.keys.size() == 4);
  CHECK(findings.keys[0].complete);
  CHECK(findings.keys[0].distinct == 100);
  CHECK(findings.keys[0].repeats == 0.95);
  CHECK_FALSE(findings.keys[1].complete);  // a missing cell
  CHECK(findings.keys[2].repeats == 0);
  CHECK_FALSE(findings.keys[3].complete);  // fractions
  CHECK(advise(findings, 8).key->name == "user");
}

TEST_CASE("survey: copies of rows and the order of labels are found") {
  Rng rng(72, Purpose::test);
  Survey shuffled({});
  Survey sorted({});
  Survey trend({});
  TableCounts counts{"t.csv", 3000, std::vector<std::uint64_t>(3)};
  for (int i = 0; i < 3000; ++i) {
    const auto code = static_cast<std::uint32_t>(rng.below(3));
    ++counts.classes[code];
    const std::vector<double> cells = {i % 100 == 0 ? 1.0 : i, 2};
    shuffled.add(cells, code);
    sorted.add(cells, i / 1000);
    trend.add(cells, 100 + i + rng.uniform_double());
  }
  CHECK(shuffled.finish(counts).repeated_rows == doctest::Approx(30 / 3000.0));
  CHECK(shuffled.finish(counts).disorder == doctest::Approx(1).epsilon(0.1));
  CHECK(sorted.finish(counts).disorder < 0.01);
  const Findings numbers = trend.finish({"t.csv", 3000, {}});
  CHECK(numbers.disorder < 0.01);
  CHECK(test::contains(told(advise(numbers, 8)), "a series of time"));
  // Labels without any variance have no order either.
  Survey flat({});
  for (int i = 0; i < 10; ++i) flat.add(std::vector<double>{1}, 5);
  CHECK(flat.finish({"t.csv", 10, {}}).disorder == 1);
}
