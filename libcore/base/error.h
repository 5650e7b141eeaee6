// SPDX-License-Identifier: MIT
// How dl fails: one exception type that carries the sentence for the user and the exit code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace dl {

// Exit codes, part of the command lines' contract (dl(7), EXIT STATUS).
enum class Exit : int {
  ok = 0,
  no = 1,               // worked, and the answer is no
  usage = 64,           // the command line is wrong
  data = 65,            // the input is wrong
  no_input = 66,        // no such input, or it cannot be read
  unavailable = 69,     // coordinator or quorum lost
  bug = 70,             // a promise of dl itself broke
  cannot_create = 73,   // an output cannot be created
  io = 74,              // I/O failed (disk full)
  again = 75,           // busy, or out of time: run again
  disagree = 76,        // peers disagree (version, model, data)
  denied = 77,          // not let in
};

// The text names the culprit, the value, and what to do; it has no trailing period or newline.
class Error : public std::runtime_error {
 public:
  Error(Exit code, const std::string& text) : std::runtime_error(text), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

template <typename... Args>
[[noreturn]] void fail(Exit code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Fails with the exit code that fits `error_number` (74 for a full disk, 66 for a missing input, ...).
[[noreturn]] void fail_errno(Exit code, int error_number, const std::string& what);

// Text from outside, for a message: quoted, control bytes escaped, cut after 60 characters.
std::string shown(std::string_view text);

}  // namespace dl
