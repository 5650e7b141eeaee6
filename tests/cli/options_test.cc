// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "base/file.h"
#include "cli.h"
#include "support/scratch.h"

using namespace dl;

namespace {

cli::Table table() {
  cli::Table t("tool", "tool [OPTION]... FILE", "Does things.");
  t.option("output", "DIR", "where", "", 'o')
      .option("batch", "N", "rows", "256")
      .option("lr", "F", "rate", "0.1")
      .option("wait", "TIME", "how long", "60s")
      .option("by", "HOW", "strategy", "random")
      .flag("json", "for programs")
      .config_file()
      .arguments("FILE", 1, 2);
  return t;
}

std::string complaint(const std::vector<std::string>& words) {
  try {
    const cli::Given given = table().parse(words);
    given.count("batch", 1, 1000);
    given.number("lr", 0, 10);
    given.seconds("wait");
    given.choice("by", {"random", "hash"});
  } catch (const Error& e) {
    CHECK(e.code() == Exit::usage);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("cli: options, defaults and arguments") {
  const cli::Given given = table().parse({"-o", "out", "a", "--batch=32", "-", "--json"});
  CHECK(given.text("output") == "out");
  CHECK(given.count("batch", 1, 100) == 32);
  CHECK(given.number("lr", 0, 1) == 0.1);
  CHECK(given.seconds("wait") == 60);
  CHECK(given.flag("json"));
  CHECK_FALSE(given.has("lr"));
  CHECK(given.arguments() == std::vector<std::string>{"a", "-"});
}

TEST_CASE("cli: what Program_options lets through is refused") {
  CHECK(complaint({"f"}).empty());
  CHECK(complaint({"f", "--batch", "-1"}) == "--batch: '-1' is not a whole number from 1 to 1000");
  CHECK(complaint({"f", "--batch", "0"}) == "--batch: '0' is not a whole number from 1 to 1000");
  CHECK(complaint({"f", "--lr", "nan"}) == "--lr: 'nan' is not a number from 0 to 10");
  CHECK(complaint({"f", "--lr", "1x"}) == "--lr: '1x' is not a number from 0 to 10");
  CHECK(complaint({"f", "--output", "--json"}) ==
        "--output needs a value (DIR), but '--json' follows");
  CHECK(complaint({"f", "--bat", "3"}) == "unknown option '--bat' (see tool --help)");
  CHECK(complaint({"f", "--batch", "3", "--batch", "4"}) == "--batch stands more than once");
  CHECK(complaint({"a", "b", "c"}) == "stray argument 'c' (see tool --help)");
  CHECK(complaint({}) == "FILE is missing (see tool --help)");
  CHECK(complaint({"f", "--wait", "5 parsecs"}) ==
        "--wait: '5 parsecs' is not a duration such as 250ms, 90s, 5m or 1h");
  CHECK(complaint({"f", "--by", "magic"}) == "--by: 'magic' is not one of random, hash");
  CHECK_FALSE(complaint({"f", "--json=yes"}).empty());
  CHECK_FALSE(complaint({"f", "--output"}).empty());
}

TEST_CASE("cli: a config file gives options, the command line wins") {
  const test::Scratch dir;
  write_file(dir / "c", "# a comment\nbatch = 64\nlr = 0.5\njson = true\n");
  const std::string config = (dir / "c").string();
  const cli::Given given = table().parse({"f", "--config", config, "--batch", "8"});
  CHECK(given.count("batch", 1, 100) == 8);
  CHECK(given.number("lr", 0, 1) == 0.5);
  write_file(dir / "bad", "nonsense = 1\n");
  CHECK_FALSE(complaint({"f", "--config", (dir / "bad").string()}).empty());
}

TEST_CASE("cli: help names every option with its default") {
  const std::string help = table().help();
  CHECK(help.find("  -o, --output DIR") != std::string::npos);
  CHECK(help.find("rows [256]") != std::string::npos);
  CHECK(help.find("--config FILE") != std::string::npos);
}
