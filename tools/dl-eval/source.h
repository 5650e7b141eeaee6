// SPDX-License-Identifier: MIT
// Where dl-eval's rows come from: a part of a manifest, or raw files.
#pragma once

#include <memory>
#include <string>

#include "cli.h"
#include "eval/loaded_model.h"
#include "eval/score.h"

namespace dl::tool {

class Source {
 public:
  virtual ~Source() = default;
  // The next rows, at most eval::kBlockRows; none at the end. Valid until the next call.
  virtual eval::Rows next() = 0;
  virtual bool has_targets() const = 0;
  virtual std::string name() const = 0;  // for people: "test part of m"
};

// As --data, --split and the options of raw files say; without --data, the data that the run used.
// A manifest must have the checkpoint's schema (76); where it is not the run's own, a word is said.
std::unique_ptr<Source> open_source(const cli::Given& given, const eval::LoadedModel& model,
                                    const Log& log);

}  // namespace dl::tool
