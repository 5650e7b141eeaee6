// SPDX-License-Identifier: MIT
#include "eval/loaded_model.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace dl::eval {

namespace {

std::string name_of(nn::Loss loss) {
  return loss == nn::Loss::softmax_cross_entropy ? "softmax_cross_entropy" : "squared_error";
}

void check_ends(const JsonObject& recorded, const nn::Ends& ends) {
  const auto inputs = recorded.count("inputs");
  const auto outputs = recorded.count("outputs");
  const std::string loss = recorded.text("loss");
  if (inputs != ends.inputs || outputs != ends.outputs || loss != name_of(ends.loss)) {
    fail(Exit::data, "{}: {} inputs, {} outputs and {}, but the schema asks for {}, {} and {}",
         recorded.what(), inputs, outputs, shown(loss), ends.inputs, ends.outputs,
         name_of(ends.loss));
  }
}

void check_tensors(const nn::ModelSpec& spec, const checkpoint::Checkpoint& checkpoint,
                   const std::string& what) {
  const std::vector<nn::TensorSpec> wanted = spec.tensors();
  bool same = wanted.size() == checkpoint.tensors.size();
  for (std::size_t i = 0; same && i < wanted.size(); ++i) {
    same = wanted[i].name == checkpoint.tensors[i].name &&
           wanted[i].shape == checkpoint.tensors[i].shape;
  }
  if (!same) {
    fail(Exit::data, "{}: its {} tensors with {} parameters are not those of its model {}, {} with {}",
         what, checkpoint.tensors.size(), checkpoint.parameters.size(), shown(spec.text()),
         wanted.size(), spec.parameter_count());
  }
}

[[noreturn]] void disagree(const LoadedModel& model, const std::string& where,
                           const std::string& subject, const std::string& here,
                           const std::string& there) {
  fail(Exit::disagree, "{}: {} is {}, but {} in the checkpoint {}; judge the raw rows instead",
       where, subject, here, there, model.path.string());
}

std::string shown_scaling(const data::Scaling& scaling) {
  return fmt::format("shift {} and scale {}", scaling.shift, scaling.scale);
}

}  // namespace

nn::Ends ends_of(const data::Schema& schema) {
  return {schema.features(), schema.outputs(),
          schema.task == data::Task::classification ? nn::Loss::softmax_cross_entropy
                                                    : nn::Loss::squared_error};
}

LoadedModel loaded_model(checkpoint::Checkpoint checkpoint, const fs::path& path) {
  const std::string what = path.string();
  const JsonObject metadata(checkpoint.metadata, what);
  LoadedModel model;
  model.path = path;
  model.schema = data::Schema::from_json(metadata.get("schema"), what + ": schema");
  const nn::Ends ends = ends_of(model.schema);
  if (metadata.has("ends")) check_ends(metadata.object("ends"), ends);
  model.spec = nn::parse_model(metadata.text("model"), what + ": model", ends);
  check_tensors(model.spec, checkpoint, what);
  model.parameters = std::move(checkpoint.parameters);
  if (const auto step = checkpoint.cursors.find("step"); step != checkpoint.cursors.end()) {
    model.step = step->second;
  }
  if (metadata.has("options")) {
    const JsonObject options = metadata.object("options");
    if (options.has("data")) model.data = options.text("data");
    if (options.has("hold_out") && !options.has("refit_of")) {
      model.hold_out = static_cast<std::uint32_t>(options.count("hold_out", UINT32_MAX));
    }
  }
  if (metadata.has("manifest_sha256")) model.manifest_sha256 = metadata.text("manifest_sha256");
  model.arithmetic = "defined";
  if (metadata.has("arithmetic")) {
    // A run on BLAS records the core's name too: "openblas-Haswell".
    const std::string name = metadata.text("arithmetic");
    model.arithmetic = name.substr(0, name.find('-'));
  }
  return model;
}

LoadedModel load_model(const fs::path& run_or_file, bool best) {
  const fs::path path = checkpoint::find_checkpoint(run_or_file, best);
  return loaded_model(checkpoint::read_checkpoint(path), path);
}

void check_same_schema(const LoadedModel& model, const data::Schema& other,
                       const std::string& where) {
  const data::Schema& own = model.schema;
  const auto task = [](const data::Schema& schema) {
    return schema.task == data::Task::classification ? "classification" : "regression";
  };
  if (own.task != other.task) disagree(model, where, "the task", task(other), task(own));
  if (own.features() != other.features()) {
    disagree(model, where, "the number of features", std::to_string(other.features()),
             std::to_string(own.features()));
  }
  if (own.target().classes.size() != other.target().classes.size()) {
    disagree(model, where, "the number of classes", std::to_string(other.target().classes.size()),
             std::to_string(own.target().classes.size()));
  }
  for (std::size_t i = 0; i < own.target().classes.size(); ++i) {
    if (own.target().classes[i] == other.target().classes[i]) continue;
    disagree(model, where, fmt::format("class {}", i), shown(other.target().classes[i]),
             shown(own.target().classes[i]));
  }
  if (own.targets.size() != other.targets.size()) {
    disagree(model, where, "the number of columns to predict", std::to_string(other.targets.size()),
             std::to_string(own.targets.size()));
  }
  for (std::size_t i = 0; i < own.targets.size(); ++i) {
    if (own.targets[i].scaling == other.targets[i].scaling) continue;
    disagree(model, where, "the target's scaling", shown_scaling(other.targets[i].scaling),
             shown_scaling(own.targets[i].scaling));
  }
  const std::vector<data::Scaling> scalings = own.scalings();
  const std::vector<data::Scaling> others = other.scalings();
  for (std::uint32_t i = 0; i < own.features(); ++i) {
    if (own.feature_name(i) != other.feature_name(i)) {
      disagree(model, where, fmt::format("feature {}", i), shown(other.feature_name(i)),
               shown(own.feature_name(i)));
    }
    if (!(scalings[i] == others[i])) {
      disagree(model, where, fmt::format("the scaling of feature {}", shown(own.feature_name(i))),
               shown_scaling(others[i]), shown_scaling(scalings[i]));
    }
  }
}

}  // namespace dl::eval
