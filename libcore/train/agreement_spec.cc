// SPDX-License-Identifier: MIT
#include "train/agreement_spec.h"

namespace dl::train {

Json AgreementSpec::to_json() const {
  return {{"compress", compress},
          {"delay_compensation", delay_compensation},
          {"groups", groups},
          {"local_steps", local_steps},
          {"max_staleness", max_staleness ? Json(*max_staleness) : Json("inf")},
          {"outer_lr", outer_lr},
          {"outer_momentum", outer_momentum},
          {"blocks", blocks}};
}

AgreementSpec AgreementSpec::from_json(const Json& json, const std::string& what) {
  const JsonObject o(json, what);
  AgreementSpec async;  // runs that began before there was this mode do not name it
  if (o.has("max_staleness")) {
    async.max_staleness.reset();
    if (o.get("max_staleness") != "inf") async.max_staleness = o.count("max_staleness");
    async.delay_compensation = o.number("delay_compensation");
  }
  return {.compress = o.text("compress"),
          .groups = static_cast<std::uint32_t>(o.count("groups", UINT32_MAX)),
          .local_steps = o.count("local_steps"),
          .outer_lr = o.number("outer_lr"),
          .outer_momentum = o.number("outer_momentum"),
          .blocks = static_cast<std::uint32_t>(o.count("blocks", UINT32_MAX)),
          .max_staleness = async.max_staleness,
          .delay_compensation = async.delay_compensation};
}

}  // namespace dl::train
