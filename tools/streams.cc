// SPDX-License-Identifier: MIT
#include "streams.h"

#include <unistd.h>

#include <cstring>

namespace dl::cli {

Streams::Streams(const Log& log)
    : out_(std::make_shared<Outlet>(STDOUT_FILENO, [](std::uint64_t lines) {
        return fmt::format("{{\"event\":\"left_out\",\"lines\":{}}}\n", lines);
      })),
      err_(std::make_shared<Outlet>(STDERR_FILENO, [log](std::uint64_t lines) {
        return log.line(Level::warning, fmt::format("{} lines are left out here: standard error was not read", lines));
      })),
      log_(log.through(err_)) {}

void Streams::alarm(const std::string& text) const {
  log_.shows(Level::warning) ? log_.warning("{}", text) : log_.error("{}", text);
}

Exit Streams::run(const std::function<Exit()>& work, Patience patience) {
  Exit code = Exit::ok;
  try {
    code = work();
  } catch (const Error& error) {
    if (*error.what() != 0) log_.error("{}", error.what());
    code = error.code();
  }
  if (code == Exit::again || static_cast<int>(code) > 128) patience = kShort;
  out_->drain(patience);
  const Outlet::Loss loss = out_->loss();
  if (loss.error_number != 0) {
    log_.error("standard output: {}", std::strerror(loss.error_number));
    if (code == Exit::ok) code = Exit::io;
  } else if (loss.lines > 0) {
    log_.error("standard output: {} lines were not taken in time and are left out", loss.lines);
  }
  err_->drain(patience);
  return code;
}

}  // namespace dl::cli
