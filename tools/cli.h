// SPDX-License-Identifier: MIT
// Command lines with GNU customs; the only place that sees Boost.Program_options.
//
// Program_options is repaired here once: no guessed prefixes, no option taken for a value, no stray
// arguments dropped, numbers checked for sign, range and finiteness. Every complaint is exit 64 and
// names the option, the value, and what would do.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace dl::cli {

struct Option {
  std::string name;        // "batch"
  char letter = 0;         // 'n', or 0
  std::string value;       // "N" as shown by --help; empty for a flag
  std::string text;        // one sentence
  std::string standard;    // the value where it is not given; empty: none
  std::string group;       // heading in --help
};

// What stands on a command line (and in a --config file). Values are checked when asked for.
class Given {
 public:
  bool has(std::string_view name) const;      // given, not just by default
  bool flag(std::string_view name) const { return has(name); }
  // The value, or the option's standard; `text` is empty where there is neither.
  std::string text(std::string_view name) const;
  std::uint64_t count(std::string_view name, std::uint64_t least, std::uint64_t most) const;
  double number(std::string_view name, double least, double most) const;  // finite
  // 0 < x: like number(), but the lower bound itself is refused.
  double positive(std::string_view name, double most) const;
  std::string choice(std::string_view name, const std::vector<std::string>& choices) const;
  double seconds(std::string_view name) const;  // "90", "90s", "5m", "1h", "250ms"
  std::uint64_t bytes(std::string_view name, std::uint64_t least) const;  // "64M", "1G", "65536"; powers of 1024
  const std::vector<std::string>& arguments() const { return arguments_; }
  // Every option that was given, with its text, for messages and comparison.
  const std::map<std::string, std::string, std::less<>>& values() const { return values_; }

 private:
  friend class Table;
  const Option& find(std::string_view name) const;
  [[noreturn]] void refuse(std::string_view name, const std::string& wanted) const;
  std::vector<Option> options_;
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> arguments_;
};

// One tool's options. --help, --version, -q/--quiet, -v/--verbose and --log-format are in every table.
class Table {
 public:
  // `usage`: the lines after "Usage: "; `about`: one paragraph under them.
  Table(std::string tool, std::string usage, std::string about);

  Table& group(std::string heading);  // for the options that follow
  Table& flag(std::string name, std::string text, char letter = 0);
  Table& option(std::string name, std::string value, std::string text, std::string standard = "",
                char letter = 0);
  // "FILE": how arguments are called in messages; at least and at most so many.
  Table& arguments(std::string name, std::size_t least, std::size_t most);
  // Lets --config FILE give options, a line each: name = value; # begins a comment.
  Table& config_file();

  Given parse(const std::vector<std::string>& words) const;  // 64 where it makes no sense
  std::string help() const;
  const std::string& tool() const { return tool_; }

 private:
  std::string tool_, usage_, about_, heading_ = "Options";
  std::vector<Option> options_;
  std::string argument_name_;
  std::size_t least_ = 0, most_ = 0;
};

// What --quiet, --verbose and --log-format ask for.
Log log_of(const Given& given, const std::string& tool);

// A tool's main: parses, answers --help and --version, runs `work`, turns an exception into one line
// on standard error and its exit code. A reader of standard output that went away ends it quietly.
int run(const Table& table, int argc, char** argv,
        const std::function<Exit(const Given&, const Log&)>& work);

// Standard output was written whole, else 74 (call once at the end).
void flush_stdout();

}  // namespace dl::cli
