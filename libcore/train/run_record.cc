// SPDX-License-Identifier: MIT
#include "train/run_record.h"

#include <algorithm>

#include "base/error.h"
#include "train/state_layout.h"

namespace dl::train {

namespace {

void compare(const std::string& what, const char* subject, const std::string& theirs,
             const std::string& ours) {
  if (theirs == ours) return;
  fail(Exit::disagree, "{}: its {} is {}, the run's is {}", what, subject, shown(theirs), shown(ours));
}

std::string text_of(const nn::Ends& ends) {
  return fmt::format("{} inputs, {} outputs", ends.inputs, ends.outputs);
}

}  // namespace

Json RunRecord::to_metadata() const {
  const Json options = config.to_json();
  return {{"run_id", run_id},
          {"model", config.model},
          {"ends", options.at("ends")},
          {"schema", schema},
          {"manifest_sha256", config.manifest_sha256},
          {"arithmetic", arithmetic},
          {"options", options}};
}

std::uint64_t RunRecord::state_floats() const { return train::state_floats(config); }

checkpoint::Checkpoint to_checkpoint(const RunRecord& record, const std::string& cursor,
                                     std::span<const float> values) {
  const nn::ModelSpec spec = record.config.model_spec();
  const std::size_t count = spec.parameter_count();
  checkpoint::Checkpoint out;
  out.metadata = record.to_metadata();
  for (const nn::TensorSpec& tensor : spec.tensors()) out.tensors.push_back({tensor.name, tensor.shape});
  out.slot_names = optim::slot_names(record.config.optimizer.kind);
  if (values.size() != record.state_floats()) {
    fail(Exit::data, "a state of {} numbers, where {} belong: {} parameters, {} slots of each, and what "
         "mode {} remembers", values.size(), record.state_floats(), count, out.slot_names.size(),
         record.config.mode);
  }
  out.parameters.assign(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count));
  for (std::size_t slot = 1; slot <= out.slot_names.size(); ++slot) {
    const auto part = values.subspan(slot * count, count);
    out.slots.emplace_back(part.begin(), part.end());
  }
  std::uint64_t at = count * (1 + out.slot_names.size());
  for (const StateVector& extra : extra_vectors(record.config)) {
    const auto part = values.subspan(at, extra.floats);
    out.extras.emplace_back(extra.name, std::vector<float>(part.begin(), part.end()));
    at += extra.floats;
  }
  const Json where = parse_json(cursor, "cursor");
  if (!where.is_object()) fail(Exit::data, "cursor: an object is wanted");
  for (const auto& [name, value] : where.items()) {
    if (value.is_number_unsigned()) {
      out.cursors[name] = value.get<std::uint64_t>();
    } else if (value.is_number_float()) {
      out.figures[name] = value.get<double>();
    } else {
      fail(Exit::data, "cursor: '{}' is no number", name);
    }
  }
  return out;
}

Snapshot to_snapshot(const RunRecord& record, const checkpoint::Checkpoint& checkpoint,
                     const std::string& what) {
  const JsonObject metadata(checkpoint.metadata, what);
  const RunConfig theirs = RunConfig::from_json(metadata.get("options"), what + ": options");
  compare(what, "run", metadata.text("run_id"), record.run_id);
  compare(what, "model", theirs.model, record.config.model);
  compare(what, "model", text_of(theirs.ends), text_of(record.config.ends));
  compare(what, "manifest", theirs.manifest_sha256, record.config.manifest_sha256);
  compare(what, "optimizer", std::string(optim::name_of(theirs.optimizer.kind)),
          std::string(optim::name_of(record.config.optimizer.kind)));

  const nn::ModelSpec spec = record.config.model_spec();
  const auto tensors = spec.tensors();
  bool fits = checkpoint.tensors.size() == tensors.size() &&
              checkpoint.slot_names == optim::slot_names(record.config.optimizer.kind);
  for (std::size_t i = 0; fits && i < tensors.size(); ++i) {
    fits = checkpoint.tensors[i].name == tensors[i].name &&
           checkpoint.tensors[i].shape == tensors[i].shape;
  }
  if (!fits) fail(Exit::data, "{}: its tensors are not those of its model {}", what, shown(theirs.model));
  const std::vector<StateVector> extras = extra_vectors(record.config);
  fits = std::equal(extras.begin(), extras.end(), checkpoint.extras.begin(), checkpoint.extras.end(),
                    [](const StateVector& ours, const auto& its) {
                      return ours.name == its.first && ours.floats == its.second.size();
                    });
  if (!fits) {
    fail(Exit::data, "{}: it does not have what mode {} with --compress {} remembers", what,
         record.config.mode, record.config.agreement.compress);
  }

  Snapshot out;
  const auto step = checkpoint.cursors.find("step");
  if (step == checkpoint.cursors.end()) fail(Exit::data, "{}: no cursor.step", what);
  out.step = step->second;
  Json cursor = Json::object();
  for (const auto& [name, value] : checkpoint.cursors) cursor[name] = value;
  for (const auto& [name, value] : checkpoint.figures) cursor[name] = value;
  out.cursor = dump_line(cursor);
  out.values = checkpoint.parameters;
  for (const auto& slot : checkpoint.slots) out.values.insert(out.values.end(), slot.begin(), slot.end());
  for (const auto& [name, values] : checkpoint.extras) {
    out.values.insert(out.values.end(), values.begin(), values.end());
  }
  return out;
}

}  // namespace dl::train
