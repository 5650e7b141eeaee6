// SPDX-License-Identifier: MIT
#include "train/init.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "train/cursor.h"

using namespace dl;

namespace {

train::RunRecord record() {
  train::RunRecord out;
  out.run_id = "r1";
  out.config.model = "dense 4 relu";
  out.config.ends = {2, 2, nn::Loss::softmax_cross_entropy};
  out.config.epochs = 1;
  out.config.optimizer.kind = optim::Kind::adam;
  out.schema = parse_json(R"({"task":"classification","input":{"header":true},"columns":[
      {"name":"age","index":0,"shift":1.5,"scale":2},{"name":"size","index":1,"shift":0,"scale":1,"missing":3}],
      "target":{"name":"kind","index":2,"classes":["no","yes"]}})", "schema");
  out.arithmetic = "defined";
  return out;
}

checkpoint::Checkpoint finished(const train::RunRecord& run) {
  std::vector<float> values(run.state_floats());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.25F;
  train::Cursor cursor;
  cursor.step = 99;
  cursor.best_loss = 0.5;
  return train::to_checkpoint(run, dump_line(cursor.to_json()), values);
}

}  // namespace

TEST_CASE("init: the parameters are the checkpoint's, everything else is as at a run's beginning") {
  const train::RunRecord old = record();
  const checkpoint::Checkpoint checkpoint = finished(old);
  train::RunRecord fresh = record();
  fresh.run_id = "r2";
  fresh.config.manifest_sha256 = "other rows";
  fresh.config.optimizer.kind = optim::Kind::momentum;
  fresh.schema["input"]["header"] = false;
  fresh.schema["columns"][1]["missing"] = 4;
  const train::Snapshot begun = train::begin_with(fresh, checkpoint, "old");
  CHECK(begun.step == 0);
  CHECK(train::Cursor::from_json(parse_json(begun.cursor, "c"), "c") == train::Cursor{});
  REQUIRE(begun.values.size() == fresh.state_floats());
  const auto count = static_cast<std::ptrdiff_t>(checkpoint.parameters.size());
  CHECK(std::equal(checkpoint.parameters.begin(), checkpoint.parameters.end(), begun.values.begin()));
  CHECK(std::all_of(begun.values.begin() + count, begun.values.end(), [](float x) { return x == 0; }));
}

TEST_CASE("init: another model or other columns are 76 with both values") {
  const checkpoint::Checkpoint checkpoint = finished(record());
  const auto refused = [&](const std::function<void(train::RunRecord&)>& change, const std::string& words) {
    train::RunRecord other = record();
    change(other);
    try {
      train::begin_with(other, checkpoint, "old");
    } catch (const Error& error) {
      CHECK_MESSAGE(std::string(error.what()).find(words) != std::string::npos, error.what());
      return error.code() == Exit::disagree;
    }
    return false;
  };
  CHECK(refused([](auto& r) { r.config.model = "dense 5 relu"; },
                "the model is 'dense 4 relu' there, and 'dense 5 relu' here"));
  CHECK(refused([](auto& r) { r.schema["columns"][0]["scale"] = 3; },
                "schema: columns 'age' scale is '2' there, and '3' here"));
  CHECK(refused([](auto& r) { r.schema["columns"].erase(1); }, "the number of columns is 2 there, and 1 here"));
  CHECK(refused([](auto& r) { r.schema["columns"][1]["name"] = "width"; }, "'\"size\"' there"));
  CHECK(refused([](auto& r) { r.schema["target"]["classes"][1] = "maybe"; }, "'\"maybe\"' here"));
  CHECK(refused([](auto& r) { r.schema["columns"][0]["fill"] = 7; }, "fill is none there, and '7' here"));
}
