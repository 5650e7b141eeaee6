// SPDX-License-Identifier: MIT
// A schema of two features and a checkpoint of a model for it.
#pragma once

#include "checkpoint/checkpoint.h"
#include "data/schema.h"
#include "eval/loaded_model.h"

namespace dl::test {

inline data::Schema flower_schema() {
  data::Schema schema;
  schema.task = data::Task::classification;
  schema.input = {.format = "csv", .separator = ',', .header = true, .columns = 3, .shape = {}};
  schema.columns = {{.name = "length", .index = 0, .scaling = {1, 2}},
                    {.name = "width", .index = 1, .scaling = {2, 0.5}}};
  schema.targets = {{.name = "kind", .index = 2, .classes = {"iris", "rose", "tulip"}, .scaling = {}}};
  return schema;
}

inline data::Schema price_schema() {
  data::Schema schema = flower_schema();
  schema.task = data::Task::regression;
  schema.targets = {{.name = "price", .index = 2, .classes = {}, .scaling = {100, 0.25}}};
  return schema;
}

// Parameters 0.1, -0.2, 0.3, ... over ten.
inline checkpoint::Checkpoint checkpoint_of(const data::Schema& schema, const std::string& model,
                                            std::uint64_t step) {
  const nn::Ends ends = eval::ends_of(schema);
  const nn::ModelSpec spec = nn::parse_model(model, "model", ends);
  checkpoint::Checkpoint c;
  for (const nn::TensorSpec& tensor : spec.tensors()) c.tensors.push_back({tensor.name, tensor.shape});
  for (std::uint64_t i = 0; i < spec.parameter_count(); ++i) {
    c.parameters.push_back(static_cast<float>(i % 10 + 1) * (i % 2 == 0 ? 0.1F : -0.1F));
  }
  const bool classes = schema.task == data::Task::classification;
  c.metadata = {{"model", model},
                {"ends",
                 {{"inputs", ends.inputs},
                  {"outputs", ends.outputs},
                  {"loss", classes ? "softmax_cross_entropy" : "squared_error"}}},
                {"schema", schema.to_json()},
                {"options", {{"data", "m"}}},
                {"arithmetic", "openblas-Haswell"}};
  c.cursors["step"] = step;
  return c;
}

}  // namespace dl::test
