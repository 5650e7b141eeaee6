// SPDX-License-Identifier: MIT
// Lines for people, on standard error. A Log is a value handed to whoever may speak; it is not global.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace dl {

class Outlet;

enum class Level { error, warning, info, debug };

// Thread-safe: a line is written with one write call, or given to an outlet, so that nobody waits for its reader.
class Log {
 public:
  enum class Format { text, json };
  explicit Log(std::string tool, Level most = Level::info, Format format = Format::text,
               std::FILE* to = stderr)
      : tool_(std::move(tool)), most_(most), format_(format), to_(to) {}

  template <typename... Args>
  void error(fmt::format_string<Args...> f, Args&&... args) const {
    write(Level::error, fmt::format(f, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void warning(fmt::format_string<Args...> f, Args&&... args) const {
    write(Level::warning, fmt::format(f, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void info(fmt::format_string<Args...> f, Args&&... args) const {
    if (shows(Level::info)) write(Level::info, fmt::format(f, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void debug(fmt::format_string<Args...> f, Args&&... args) const {
    if (shows(Level::debug)) write(Level::debug, fmt::format(f, std::forward<Args>(args)...));
  }

  // The same, said through an outlet.
  Log through(std::shared_ptr<Outlet> outlet) const;

  bool shows(Level level) const { return level <= most_; }
  void write(Level level, std::string_view text) const;
  std::string line(Level level, std::string_view text) const;  // as write() writes it

 private:
  std::string tool_;
  Level most_;
  Format format_;
  std::FILE* to_;
  std::shared_ptr<Outlet> outlet_;  // instead of `to_`; or none
};

}  // namespace dl
