// SPDX-License-Identifier: MIT
#include "train/cursor.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "train/run_config.h"

using namespace dl;

TEST_CASE("cursor: comes back from its text to the last bit") {
  train::Cursor cursor;
  cursor.step = 12;
  cursor.samples = 3456;
  cursor.seconds = 0.1;
  cursor.epoch_loss = 1.0 / 3;
  cursor.epoch_weight = 77;
  cursor.last_loss = 2.0 / 7;
  cursor.best_loss = 1e-17;
  cursor.best_step = 9;
  cursor.stale_epochs = 2;
  cursor.stopped_early = true;
  CHECK(train::Cursor::from_json(parse_json(dump_line(cursor.to_json()), "c"), "c") == cursor);
  CHECK(train::Cursor::from_json(train::Cursor{}.to_json(), "c") == train::Cursor{});
  CHECK_THROWS_AS(train::Cursor::from_json(Json{{"step", -1}}, "c"), Error);
}

TEST_CASE("run config: comes back from its text, and refuses what makes no sense") {
  train::RunConfig config;
  config.data = "/data/m";
  config.manifest_sha256 = std::string(64, 'a');
  config.model = "dense 8 relu";
  config.ends = {5, 3, nn::Loss::softmax_cross_entropy};
  config.epochs = 3;
  config.optimizer.kind = optim::Kind::adamw;
  config.optimizer.weight_decay = 0.1F;
  config.schedule.kind = optim::Schedule::cosine;
  config.schedule.lr = 0.3;
  const Json json = config.to_json();
  const auto back = train::RunConfig::from_json(parse_json(dump_line(json), "c"), "c");
  CHECK(back.to_json() == json);
  CHECK(back.optimizer.weight_decay == 0.1F);
  CHECK(back.total_steps(1000) == 3 * 4);
  CHECK(back.model_spec().layers.size() == 2);
  Json none = json;
  none["batch"] = 0;
  CHECK_THROWS_AS(train::RunConfig::from_json(none, "c"), Error);
  none = json;
  none["epochs"] = 0;
  CHECK_THROWS_AS(train::RunConfig::from_json(none, "c"), Error);
}
