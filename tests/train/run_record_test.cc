// SPDX-License-Identifier: MIT
#include "train/run_record.h"

#include <doctest/doctest.h>

#include <functional>

#include "base/error.h"
#include "train/cursor.h"

using namespace dl;

namespace {

train::RunRecord record() {
  train::RunRecord out;
  out.run_id = "r1";
  out.config.data = "/data/m";
  out.config.manifest_sha256 = std::string(64, 'a');
  out.config.model = "dense 4 relu";
  out.config.ends = {3, 2, nn::Loss::softmax_cross_entropy};
  out.config.epochs = 1;
  out.config.optimizer.kind = optim::Kind::adam;
  out.schema = Json::object();
  out.arithmetic = "defined";
  return out;
}

std::vector<float> values_for(const train::RunRecord& run) {
  std::vector<float> values(run.state_floats());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.25F;
  return values;
}

Exit code_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& e) {
    return e.code();
  }
  return Exit::ok;
}

}  // namespace

TEST_CASE("run record: a state becomes a checkpoint and comes back to the last bit") {
  const train::RunRecord run = record();
  CHECK(run.state_floats() == 3 * (3 * 4 + 4 + 4 * 2 + 2));
  train::Cursor cursor;
  cursor.step = 7;
  cursor.epoch_loss = 1.0 / 3;
  cursor.best_loss = 0.5;
  const std::vector<float> values = values_for(run);
  const auto made = train::to_checkpoint(run, dump_line(cursor.to_json()), values);
  CHECK(made.slot_names == std::vector<std::string>{"m", "v"});
  CHECK(made.slots[1].back() == values.back());
  CHECK(made.cursors.at("step") == 7);
  CHECK(made.figures.at("best_loss") == 0.5);
  const train::Snapshot back = train::to_snapshot(run, made, "c");
  CHECK(back.step == 7);
  CHECK(back.values == values);
  CHECK(train::Cursor::from_json(parse_json(back.cursor, "c"), "c") == cursor);
}

TEST_CASE("run record: a checkpoint of another run, model, data or optimizer is 76") {
  const train::RunRecord run = record();
  const auto made =
      train::to_checkpoint(run, dump_line(train::Cursor{}.to_json()), values_for(run));
  const auto refused = [&](auto change) {
    train::RunRecord other = record();
    change(other);
    return code_of([&] { train::to_snapshot(other, made, "c"); });
  };
  CHECK(refused([](train::RunRecord&) {}) == Exit::ok);
  CHECK(refused([](train::RunRecord& r) { r.run_id = "r2"; }) == Exit::disagree);
  CHECK(refused([](train::RunRecord& r) { r.config.model = "dense 4 tanh"; }) == Exit::disagree);
  CHECK(refused([](train::RunRecord& r) { r.config.ends.inputs = 4; }) == Exit::disagree);
  CHECK(refused([](train::RunRecord& r) { r.config.manifest_sha256[0] = 'b'; }) == Exit::disagree);
  CHECK(refused([](train::RunRecord& r) { r.config.optimizer.kind = optim::Kind::adamw; }) ==
        Exit::disagree);
}

TEST_CASE("run record: a state of another size and a cursor that is no numbers are 65") {
  const train::RunRecord run = record();
  std::vector<float> values = values_for(run);
  CHECK(code_of([&] { train::to_checkpoint(run, R"({"step":"x"})", values); }) == Exit::data);
  CHECK(code_of([&] { train::to_checkpoint(run, "[1]", values); }) == Exit::data);
  values.pop_back();
  CHECK(code_of([&] { train::to_checkpoint(run, R"({"step":1})", values); }) == Exit::data);
}
