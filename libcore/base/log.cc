// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/outlet.h"

namespace dl {

namespace {

const char* name(Level level) {
  switch (level) {
    case Level::error: return "error";
    case Level::warning: return "warning";
    case Level::info: return "info";
    case Level::debug: return "debug";
  }
  return "?";
}

}  // namespace

Log Log::through(std::shared_ptr<Outlet> outlet) const {
  Log other = *this;
  other.outlet_ = std::move(outlet);
  return other;
}

std::string Log::line(Level level, std::string_view text) const {
  if (format_ == Format::json) {
    return Json{{"time", utc_now()}, {"level", name(level)}, {"tool", tool_}, {"text", text}}.dump(
               -1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return fmt::format("{}: {}{}\n", tool_, level == Level::warning ? "warning: " : "", text);
}

void Log::write(Level level, std::string_view text) const {
  if (!shows(level)) return;
  const std::string whole = line(level, text);
  if (outlet_) {
    outlet_->put(whole);
    return;
  }
  // One call, so that lines of several processes on one terminal do not mix.
  if (::write(::fileno(to_), whole.data(), whole.size()) < 0) return;
}

}  // namespace dl
