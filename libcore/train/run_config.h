// SPDX-License-Identifier: MIT
// Everything that a run is, as dl-coord was told and as its nodes are told: one JSON object.
// No linear algebra here, so that dl-coord links none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "nn/model_spec.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/agreement_spec.h"

namespace dl::train {

struct RunConfig {
  std::string data;             // the manifest's directory, absolute, where the coordinator sees it
  std::string manifest_sha256;
  std::string model;            // canonical text, without the head (ModelSpec::text)
  nn::Ends ends;                // from the manifest's schema
  std::uint64_t seed = 1;
  std::uint64_t batch = 256;    // samples of a step, over all shards
  std::uint64_t epochs = 0;     // 0: `steps` decides
  std::uint64_t steps = 0;      // 0: `epochs` decides
  std::string mode = "sync";    // or async, local, pipeline, tensor
  AgreementSpec agreement;
  // How sums over TCP go: auto, direct, doubling, tree (comm/collective.h). No bit depends on it.
  std::string collective = "auto";
  std::string arithmetic = "defined";  // or "openblas"
  optim::OptimizerSpec optimizer;
  optim::ScheduleSpec schedule;        // `total` is filled in from epochs or steps
  std::uint64_t checkpoint_every = 0;  // steps; 0: at the end of each epoch
  std::uint64_t mirror_every = 0;      // steps between mirrors (train/trainer.h); 0: none
  std::uint64_t eval_every = 1;        // epochs between judgements on the test and validation part
  // Shard of the manifest that the run does not train on, but is judged on (data::without_shard).
  std::optional<std::uint32_t> hold_out;
  // The manifest that `data` was made of, without shard `hold_out` and scaled anew (data::refit); empty: none.
  std::string refit_of;
  std::string init_sha256;             // of the parameters that the run begins with; empty: the seed's
  std::string replay;                  // the log of updates to go by (train/replay.h); empty: train
  std::string on_nan = "stop";         // or skip, rollback: what a step that is not finite leads to (train/trainer.h)
  std::uint64_t patience = 0;          // epochs without a better validation loss before stopping; 0: never

  Json to_json() const;
  static RunConfig from_json(const Json& json, const std::string& what);

  // The shard to leave out of the manifest at `data`; none where that was made without it.
  std::optional<std::uint32_t> left_out() const { return refit_of.empty() ? hold_out : std::nullopt; }
  nn::ModelSpec model_spec() const;
  // Updates of the whole run, given the training samples of the manifest.
  std::uint64_t total_steps(std::uint64_t samples) const;
};

}  // namespace dl::train
