// SPDX-License-Identifier: MIT
#include "cli.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "base/file.h"

#ifndef DL_VERSION
#define DL_VERSION "unknown"
#endif

namespace dl::cli {

namespace po = boost::program_options;

namespace {

std::string join(const std::vector<std::string>& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : std::string(between)) + word;
  return out;
}

po::options_description describe(const std::vector<Option>& options) {
  po::options_description described;
  for (const Option& option : options) {
    const std::string names =
        option.letter != 0 ? option.name + "," + std::string(1, option.letter) : option.name;
    if (option.value.empty()) {
      described.add_options()(names.c_str(), "");
    } else {
      described.add_options()(names.c_str(), po::value<std::string>(), "");
    }
  }
  return described;
}

// "--label -1" is a value; "--output --json" is a forgotten one.
bool looks_like_option(const std::string& text) {
  return text.size() > 1 && text[0] == '-' && (std::isdigit(static_cast<unsigned char>(text[1])) == 0) &&
         text[1] != '.';
}

std::string explain(const std::string& tool, const po::error& error) {
  std::string text = error.what();
  if (const auto* unknown = dynamic_cast<const po::unknown_option*>(&error)) {
    text = fmt::format("unknown option {}", shown(unknown->get_option_name()));
  } else if (const auto* twice = dynamic_cast<const po::multiple_occurrences*>(&error)) {
    text = fmt::format("{} stands more than once", twice->get_option_name());
  }
  return fmt::format("{} (see {} --help)", text, tool);
}

}  // namespace

bool Given::has(std::string_view name) const { return values_.find(name) != values_.end(); }

const Option& Given::find(std::string_view name) const {
  const auto at = std::find_if(options_.begin(), options_.end(),
                               [&](const Option& option) { return option.name == name; });
  if (at == options_.end()) fail(Exit::bug, "no option is called --{}", name);
  return *at;
}

std::string Given::text(std::string_view name) const {
  const auto at = values_.find(name);
  return at != values_.end() ? at->second : find(name).standard;
}

void Given::refuse(std::string_view name, const std::string& wanted) const {
  fail(Exit::usage, "--{}: {} is not {}", name, shown(text(name)), wanted);
}

std::uint64_t Given::count(std::string_view name, std::uint64_t least, std::uint64_t most) const {
  const std::string given = text(name);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  if (error != std::errc() || end != given.data() + given.size() || given.empty() ||
      value < least || value > most) {
    refuse(name, most == UINT64_MAX ? fmt::format("a whole number of at least {}", least)
                                    : fmt::format("a whole number from {} to {}", least, most));
  }
  return value;
}

double Given::number(std::string_view name, double least, double most) const {
  const std::string given = text(name);
  double value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  if (error != std::errc() || end != given.data() + given.size() || given.empty() ||
      !std::isfinite(value) || value < least || value > most) {
    refuse(name, fmt::format("a number from {} to {}", least, most));
  }
  return value;
}

double Given::positive(std::string_view name, double most) const {
  const double value = number(name, 0, most);
  if (value <= 0) refuse(name, fmt::format("a number above 0 and at most {}", most));
  return value;
}

std::string Given::choice(std::string_view name, const std::vector<std::string>& choices) const {
  const std::string given = text(name);
  if (std::find(choices.begin(), choices.end(), given) == choices.end()) {
    refuse(name, "one of " + join(choices, ", "));
  }
  return given;
}

double Given::seconds(std::string_view name) const {
  const std::string given = text(name);
  double value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  const std::string unit(end, given.data() + given.size() - end);
  const std::map<std::string, double> units = {{"", 1},    {"s", 1},     {"ms", 1e-3},
                                               {"m", 60.}, {"h", 3600.}, {"d", 86400.}};
  const auto factor = units.find(unit);
  if (error != std::errc() || given.empty() || factor == units.end() || !(value >= 0) ||
      value * factor->second > 1e9) {
    refuse(name, "a duration such as 250ms, 90s, 5m or 1h");
  }
  return value * factor->second;
}

std::uint64_t Given::bytes(std::string_view name, std::uint64_t least) const {
  const std::string given = text(name);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  const std::string unit(end, given.data() + given.size() - end);
  const std::map<std::string, unsigned> units = {{"", 0}, {"K", 10}, {"M", 20}, {"G", 30}, {"T", 40}};
  const auto shift = units.find(unit);
  if (error != std::errc() || shift == units.end() || value > (UINT64_MAX >> 1 >> shift->second) ||
      value << shift->second < least) {
    refuse(name, fmt::format("a size such as 64M or 1G, at least {}K", least >> 10));
  }
  return value << shift->second;
}

Table::Table(std::string tool, std::string usage, std::string about)
    : tool_(std::move(tool)), usage_(std::move(usage)), about_(std::move(about)) {
  group("General");
  flag("quiet", "say nothing but errors", 'q');
  flag("verbose", "say more", 'v');
  option("log-format", "FORMAT", "how lines on standard error look: text or json", "text");
  flag("help", "show this and exit", 'h');
  flag("version", "show the version and exit");
  group("Options");
}

Table& Table::group(std::string heading) {
  heading_ = std::move(heading);
  return *this;
}

Table& Table::flag(std::string name, std::string text, char letter) {
  options_.push_back({std::move(name), letter, "", std::move(text), "", heading_});
  return *this;
}

Table& Table::option(std::string name, std::string value, std::string text, std::string standard,
                     char letter) {
  options_.push_back(
      {std::move(name), letter, std::move(value), std::move(text), std::move(standard), heading_});
  return *this;
}

Table& Table::arguments(std::string name, std::size_t least, std::size_t most) {
  argument_name_ = std::move(name);
  least_ = least;
  most_ = most;
  return *this;
}

Table& Table::config_file() {
  return option("config", "FILE", "read options from FILE, a line each: name = value");
}

Given Table::parse(const std::vector<std::string>& words) const {
  Given given;
  given.options_ = options_;
  const po::options_description described = describe(options_);
  namespace style = po::command_line_style;
  const int customs = style::allow_long | style::allow_short | style::long_allow_adjacent |
                      style::long_allow_next | style::short_allow_adjacent |
                      style::short_allow_next | style::allow_dash_for_short |
                      style::allow_sticky;

  const auto take = [&](const po::parsed_options& parsed, bool overrides) {
    for (const po::option& one : parsed.options) {
      if (one.position_key >= 0) {
        for (const std::string& word : one.value) given.arguments_.push_back(word);
        continue;
      }
      const std::string value = one.value.empty() ? "" : one.value.front();
      const auto known = std::find_if(options_.begin(), options_.end(), [&](const Option& option) {
        return option.name == one.string_key;
      });
      if (known == options_.end()) continue;
      const bool separate = one.original_tokens.size() > 1;
      if (overrides && separate && looks_like_option(value)) {
        fail(Exit::usage, "--{} needs a value ({}), but {} follows", one.string_key, known->value,
             shown(value));
      }
      if (!known->value.empty() && value.empty()) {
        fail(Exit::usage, "--{} needs a value ({}), not an empty one", one.string_key,
             known->value);
      }
      if (!given.values_.emplace(one.string_key, value).second && overrides) {
        fail(Exit::usage, "--{} stands more than once", one.string_key);
      }
    }
  };

  try {
    // Arguments without a name are collected, not dropped.
    po::positional_options_description anywhere;
    take(po::command_line_parser(words).options(described).style(customs).run(), true);
    if (given.has("config") && !given.has("help")) {
      const std::string path = given.text("config");
      std::istringstream lines(read_file(path, 1 << 20));
      try {
        take(po::parse_config_file(lines, described, false), false);
      } catch (const po::error& error) {
        fail(Exit::usage, "{}: {}", path, error.what());
      }
    }
  } catch (const po::error& error) {
    fail(Exit::usage, "{}", explain(tool_, error));
  }
  if (given.has("help") || given.has("version")) return given;
  if (given.arguments_.size() > most_) {
    fail(Exit::usage, "stray argument {} (see {} --help)", shown(given.arguments_[most_]), tool_);
  }
  if (given.arguments_.size() < least_) {
    fail(Exit::usage, "{} is missing (see {} --help)", argument_name_, tool_);
  }
  return given;
}

std::string Table::help() const {
  std::string out = "Usage: " + usage_ + "\n" + about_ + "\n";
  std::vector<std::string> headings;
  for (const Option& option : options_) {
    if (std::find(headings.begin(), headings.end(), option.group) == headings.end()) {
      headings.push_back(option.group);
    }
  }
  std::rotate(headings.begin(), headings.begin() + 1, headings.end());  // "General" comes last
  for (const std::string& heading : headings) {
    out += "\n" + heading + ":\n";
    for (const Option& option : options_) {
      if (option.group != heading) continue;
      std::string left = option.letter != 0 ? fmt::format("  -{}, --{}", option.letter, option.name)
                                            : fmt::format("      --{}", option.name);
      if (!option.value.empty()) left += " " + option.value;
      out += left.size() < 30 ? fmt::format("{:<30}", left) : left + "\n" + std::string(30, ' ');
      out += option.text;
      if (!option.standard.empty()) out += fmt::format(" [{}]", option.standard);
      out += "\n";
    }
  }
  return out + "\nExit status: see dl(7). Manual: man " + tool_ + "\n";
}

Log log_of(const Given& given, const std::string& tool) {
  const Level most = given.flag("quiet")     ? Level::error
                     : given.flag("verbose") ? Level::debug
                                             : Level::info;
  const bool json = given.choice("log-format", {"text", "json"}) == "json";
  return Log(tool, most, json ? Log::Format::json : Log::Format::text);
}

void flush_stdout() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  if (errno == EPIPE) throw Error(Exit::ok, "");
  fail_errno(Exit::io, errno, "standard output");
}

int run(const Table& table, int argc, char** argv,
        const std::function<Exit(const Given&, const Log&)>& work) {
  std::signal(SIGPIPE, SIG_IGN);  // a write to a reader that left is an error we handle
  Log log(table.tool());
  try {
    const Given given = table.parse({argv + 1, argv + argc});
    if (given.flag("help") || given.flag("version")) {
      const std::string text =
          given.flag("help") ? table.help() : table.tool() + " " DL_VERSION "\n";
      std::fwrite(text.data(), 1, text.size(), stdout);
      flush_stdout();
      return 0;
    }
    log = log_of(given, table.tool());
    const Exit code = work(given, log);
    flush_stdout();
    return static_cast<int>(code);
  } catch (const Error& error) {
    if (*error.what() != 0) log.error("{}", error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    log.error("out of memory");
    return static_cast<int>(Exit::io);
  } catch (const std::exception& error) {
    log.error("this is a bug: {}", error.what());
    return static_cast<int>(Exit::bug);
  }
}

}  // namespace dl::cli
