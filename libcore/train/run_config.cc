// SPDX-License-Identifier: MIT
#include "train/run_config.h"

#include "base/error.h"

namespace dl::train {

namespace {

const char* name_of(nn::Loss loss) {
  return loss == nn::Loss::softmax_cross_entropy ? "softmax_cross_entropy" : "squared_error";
}

nn::Loss parse_loss(const std::string& name, const std::string& what) {
  if (name == "softmax_cross_entropy") return nn::Loss::softmax_cross_entropy;
  if (name == "squared_error") return nn::Loss::squared_error;
  fail(Exit::data, "{}: unknown loss {}", what, shown(name));
}

Json json_of(const optim::OptimizerSpec& o) {
  return {{"kind", optim::name_of(o.kind)}, {"momentum", o.momentum},
          {"beta1", o.beta1},               {"beta2", o.beta2},
          {"epsilon", o.epsilon},           {"weight_decay", o.weight_decay},
          {"clip_norm", o.clip_norm}};
}

optim::OptimizerSpec optimizer_of(const JsonObject& o) {
  const auto f = [&](const char* key) { return static_cast<float>(o.number(key)); };
  return {.kind = optim::parse_kind(o.text("kind")),
          .momentum = f("momentum"),
          .beta1 = f("beta1"),
          .beta2 = f("beta2"),
          .epsilon = f("epsilon"),
          .weight_decay = f("weight_decay"),
          .clip_norm = f("clip_norm")};
}

Json json_of(const optim::ScheduleSpec& s) {
  return {{"kind", optim::name_of(s.kind)}, {"lr", s.lr},         {"warmup", s.warmup},
          {"step_every", s.step_every},     {"factor", s.factor}, {"floor", s.floor}};
}

optim::ScheduleSpec schedule_of(const JsonObject& s) {
  return {.kind = optim::parse_schedule(s.text("kind")),
          .lr = s.number("lr"),
          .warmup = s.count("warmup"),
          .total = 0,
          .step_every = s.count("step_every"),
          .factor = s.number("factor"),
          .floor = s.number("floor")};
}

}  // namespace

Json RunConfig::to_json() const {
  Json json{{"data", data},
            {"manifest_sha256", manifest_sha256},
            {"model", model},
            {"ends",
             {{"inputs", ends.inputs}, {"outputs", ends.outputs}, {"loss", name_of(ends.loss)}}},
            {"seed", seed},
            {"batch", batch},
            {"epochs", epochs},
            {"steps", steps},
            {"mode", mode},
            {"agreement", agreement.to_json()},
            {"collective", collective},
            {"arithmetic", arithmetic},
            {"optimizer", json_of(optimizer)},
            {"schedule", json_of(schedule)},
            {"checkpoint_every", checkpoint_every},
            {"eval_every", eval_every},
            {"on_nan", on_nan},
            {"patience", patience}};
  if (hold_out) json["hold_out"] = *hold_out;
  if (!refit_of.empty()) json["refit_of"] = refit_of;
  if (!init_sha256.empty()) json["init_sha256"] = init_sha256;
  if (!replay.empty()) json["replay"] = replay;
  if (mirror_every > 0) json["mirror_every"] = mirror_every;
  return json;
}

RunConfig RunConfig::from_json(const Json& json, const std::string& what) {
  const JsonObject o(json, what);
  const JsonObject ends = o.object("ends");
  RunConfig config{.data = o.text("data"),
                   .manifest_sha256 = o.text("manifest_sha256"),
                   .model = o.text("model"),
                   .ends = {static_cast<std::uint32_t>(ends.count("inputs", UINT32_MAX)),
                            static_cast<std::uint32_t>(ends.count("outputs", UINT32_MAX)),
                            parse_loss(ends.text("loss"), what)},
                   .seed = o.count("seed"),
                   .batch = o.count("batch", UINT32_MAX),
                   .epochs = o.count("epochs", UINT32_MAX),
                   .steps = o.count("steps", std::uint64_t{1} << 48),
                   .mode = o.text("mode"),
                   .agreement = o.has("agreement")
                                    ? AgreementSpec::from_json(o.get("agreement"), what + ": agreement")
                                    : AgreementSpec{},
                   .collective = o.has("collective") ? o.text("collective") : "auto",
                   .arithmetic = o.text("arithmetic"),
                   .optimizer = optimizer_of(o.object("optimizer")),
                   .schedule = schedule_of(o.object("schedule")),
                   .checkpoint_every = o.count("checkpoint_every"),
                   .mirror_every = o.has("mirror_every") ? o.count("mirror_every") : 0,
                   .eval_every = o.count("eval_every"),
                   .hold_out = std::nullopt,
                   .refit_of = o.has("refit_of") ? o.text("refit_of") : "",
                   .init_sha256 = o.has("init_sha256") ? o.text("init_sha256") : "",
                   .replay = o.has("replay") ? o.text("replay") : "",
                   .on_nan = o.has("on_nan") ? o.text("on_nan") : "stop",
                   .patience = o.count("patience")};
  if (o.has("hold_out")) config.hold_out = static_cast<std::uint32_t>(o.count("hold_out", UINT32_MAX));
  if (config.batch == 0) fail(Exit::data, "{}: a batch of 0 samples", what);
  if (config.epochs == 0 && config.steps == 0) fail(Exit::data, "{}: neither epochs nor steps", what);
  return config;
}

nn::ModelSpec RunConfig::model_spec() const { return nn::parse_model(model, "model", ends); }

std::uint64_t RunConfig::total_steps(std::uint64_t samples) const {
  if (steps > 0) return steps;
  return epochs * ((samples + batch - 1) / batch);
}

}  // namespace dl::train
