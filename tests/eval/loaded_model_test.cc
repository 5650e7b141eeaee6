// SPDX-License-Identifier: MIT
#include "eval/loaded_model.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "sample.h"
#include "support/scratch.h"

using namespace dl;
using namespace dl::eval;

namespace {

template <typename Work>
std::string complaint(Exit code, const Work& work) {
  try {
    work();
  } catch (const Error& e) {
    CHECK(e.code() == code);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("loaded model: model, schema and parameters come from the checkpoint alone") {
  const test::Scratch dir;
  const data::Schema schema = test::flower_schema();
  checkpoint::Store(dir.path(), 1).commit(7, test::checkpoint_of(schema, "dense 4 relu", 7));
  const LoadedModel model = load_model(dir.path(), false);
  CHECK(model.path == dir / "step-000000000007.safetensors");
  CHECK(model.spec.text() == "dense 4 relu");
  CHECK(model.spec.ends.inputs == 2);
  CHECK(model.spec.ends.outputs == 3);
  CHECK(model.schema == schema);
  CHECK(model.parameters.size() == model.spec.parameter_count());
  CHECK(model.step == 7);
  CHECK(model.data == "m");
  CHECK(model.arithmetic == "openblas");
  CHECK(load_model(model.path, false).step == 7);
}

TEST_CASE("loaded model: a directory without a checkpoint, or without a best one, is 66") {
  const test::Scratch dir;
  CHECK(complaint(Exit::no_input, [&] { load_model(dir.path(), false); })
            .find("no checkpoint 'latest' in this directory (yet)") != std::string::npos);
  CHECK(complaint(Exit::no_input, [&] { load_model(dir.path(), true); })
            .find("'best.safetensors'") != std::string::npos);
  CHECK_FALSE(complaint(Exit::no_input, [&] { load_model(dir / "none", false); }).empty());
  write_file(dir / "f", "x");
  CHECK_FALSE(complaint(Exit::usage, [&] { load_model(dir / "f", true); }).empty());
  CHECK_FALSE(complaint(Exit::data, [&] { load_model(dir / "f", false); }).empty());
}

TEST_CASE("loaded model: metadata that is missing or does not fit the tensors is 65") {
  const checkpoint::Checkpoint good = test::checkpoint_of(test::flower_schema(), "dense 4 relu", 1);
  CHECK(loaded_model(good, "c").step == 1);
  const auto with = [&](auto&& change) {
    checkpoint::Checkpoint changed = good;
    change(changed);
    return complaint(Exit::data, [&] { loaded_model(changed, "c"); });
  };
  CHECK(with([](auto& c) { c.metadata.erase("model"); }) == "c: key 'model' is missing");
  CHECK(with([](auto& c) { c.metadata.erase("schema"); }) == "c: key 'schema' is missing");
  CHECK(with([](auto& c) { c.metadata["model"] = "dense 5 relu"; }) ==
        "c: its 4 tensors with 27 parameters are not those of its model 'dense 5 relu', 4 with 33");
  CHECK(with([](auto& c) { c.metadata["model"] = "conv 3"; }).find("c: model:1:1: 'conv'") == 0);
  CHECK(with([](auto& c) { c.metadata["ends"]["outputs"] = 4U; }) ==
        "c: ends: 2 inputs, 4 outputs and 'softmax_cross_entropy', but the schema asks for 2, 3 "
        "and softmax_cross_entropy");
  CHECK_FALSE(with([](auto& c) { c.tensors[0].name = "1.weight"; }).empty());
  CHECK(with([](auto& c) { c.metadata["schema"]["surprise"] = 1; }).find("c: schema") == 0);
}

TEST_CASE("loaded model: rows made with another schema are 76, with both values") {
  const LoadedModel model =
      loaded_model(test::checkpoint_of(test::flower_schema(), "", 1), "c");
  CHECK(complaint(Exit::disagree, [&] { check_same_schema(model, model.schema, "m"); }).empty());
  const auto with = [&](auto&& change) {
    data::Schema changed = model.schema;
    change(changed);
    return complaint(Exit::disagree, [&] { check_same_schema(model, changed, "m"); });
  };
  CHECK(with([](auto& s) { s.columns[1].scaling.scale = 3; }) ==
        "m: the scaling of feature 'width' is shift 2 and scale 3, but shift 2 and scale 0.5 in the "
        "checkpoint c; judge the raw rows instead");
  CHECK(with([](auto& s) { s.columns[0].name = "height"; }) ==
        "m: feature 0 is 'height', but 'length' in the checkpoint c; judge the raw rows instead");
  CHECK(with([](auto& s) { s.targets[0].classes.pop_back(); }) ==
        "m: the number of classes is 2, but 3 in the checkpoint c; judge the raw rows instead");
  CHECK_FALSE(with([](auto& s) { std::swap(s.targets[0].classes[0], s.targets[0].classes[1]); }).empty());
  CHECK_FALSE(with([](auto& s) { s.columns.pop_back(); }).empty());
  CHECK_FALSE(with([](auto& s) { s.task = data::Task::regression; }).empty());
  CHECK_FALSE(with([](auto& s) { s.targets[0].scaling.shift = 1; }).empty());
}
