// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

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

void Log::write(Level level, std::string_view text) const {
  if (!shows(level)) return;
  std::string line;
  if (format_ == Format::json) {
    line = Json{{"time", utc_now()}, {"level", name(level)}, {"tool", tool_}, {"text", text}}.dump(
        -1, ' ', false, Json::error_handler_t::replace);
  } else {
    line = tool_ + ": ";
    if (level == Level::warning) line += "warning: ";
    line += text;
  }
  line += '\n';
  // One call, so that lines of several processes on one terminal do not mix.
  if (::write(::fileno(to_), line.data(), line.size()) < 0) return;
}

}  // namespace dl
