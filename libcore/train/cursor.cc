// SPDX-License-Identifier: MIT
#include "train/cursor.h"

namespace dl::train {

Json Cursor::to_json() const {
  Json json{{"step", step},
            {"samples", samples},
            {"best_step", best_step},
            {"stale_epochs", stale_epochs},
            {"stopped_early", stopped_early ? 1U : 0U},
            {"seconds", seconds},
            {"epoch_loss", epoch_loss},
            {"epoch_weight", epoch_weight},
            {"last_loss", last_loss}};
  if (best_loss) json["best_loss"] = *best_loss;
  if (refused > 0) {
    json["refused"] = refused;
    json["refused_step"] = refused_step;
  }
  return json;
}

Cursor Cursor::from_json(const Json& json, const std::string& what) {
  const JsonObject o(json, what);
  Cursor cursor{.step = o.count("step"),
                .samples = o.count("samples"),
                .seconds = o.number("seconds"),
                .epoch_loss = o.number("epoch_loss"),
                .epoch_weight = o.number("epoch_weight"),
                .last_loss = o.number("last_loss"),
                .best_loss = std::nullopt,
                .best_step = o.count("best_step"),
                .stale_epochs = o.count("stale_epochs"),
                .stopped_early = o.count("stopped_early", 1) == 1};
  if (o.has("refused")) {
    cursor.refused = o.count("refused");
    cursor.refused_step = o.count("refused_step");
  }
  if (o.has("best_loss")) cursor.best_loss = o.number("best_loss");
  return cursor;
}

}  // namespace dl::train
