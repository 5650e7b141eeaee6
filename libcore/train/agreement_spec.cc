// SPDX-License-Identifier: MIT
#include "train/agreement_spec.h"

namespace dl::train {

Json AgreementSpec::to_json() const {
  return {{"compress", compress},
          {"groups", groups},
          {"local_steps", local_steps},
          {"outer_lr", outer_lr},
          {"outer_momentum", outer_momentum},
          {"blocks", blocks}};
}

AgreementSpec AgreementSpec::from_json(const Json& json, const std::string& what) {
  const JsonObject o(json, what);
  return {.compress = o.text("compress"),
          .groups = static_cast<std::uint32_t>(o.count("groups", UINT32_MAX)),
          .local_steps = o.count("local_steps"),
          .outer_lr = o.number("outer_lr"),
          .outer_momentum = o.number("outer_momentum"),
          .blocks = static_cast<std::uint32_t>(o.count("blocks", UINT32_MAX))};
}

}  // namespace dl::train
