// SPDX-License-Identifier: MIT
#include "options.h"

#include <algorithm>
#include <array>

#include "data/append.h"
#include "strategy.h"

namespace dl {

namespace {

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts(1);
  for (const char c : list) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

data::ColumnWishes wishes_of(const cli::Given& given) {
  data::ColumnWishes wishes;
  wishes.missing.clear();
  wishes.labels = given.text("label");
  wishes.ignored = given.text("ignore");
  wishes.categories = given.text("category");
  wishes.numbers = given.text("number");
  wishes.indicators = given.text("indicator");
  wishes.weight = given.text("weight");
  wishes.file = given.text("schema");
  for (std::string& text : split(given.text("missing"))) {
    auto& all = wishes.missing;
    if (std::find(all.begin(), all.end(), text) == all.end()) all.push_back(std::move(text));
  }
  return wishes;
}

// What the old shards have settled.
void keep_old(const cli::Given& given, data::ShardOptions& options) {
  constexpr std::array<const char*, 16> kSettled = {
      "output", "force", "format", "label", "category", "number", "ignore", "weight",
      "missing", "indicator", "schema", "key", "task", "scale", "max-categories", "write-schema"};
  for (const char* const name : kSettled) {
    if (given.has(name)) fail(Exit::usage, "--{}: with --append, the old shards say it", name);
  }
  data::ShardOptions kept = options;
  data::keep_strategy(data::read_manifest(options.directory), kept);
  if (!given.has("by")) options.by = kept.by;
  if (!given.has("seed")) options.seed = kept.seed;
  options.key_rows = kept.key_rows;
  if (!given.has("shards") && !given.has("weights")) options.shards = 1;
}

}  // namespace

cli::Table shard_options() {
  cli::Table t("dl-shard",
               "dl-shard [OPTION]... [FILE... | -]\n"
               "       dl-shard --append DIR [-n N] FILE...\n"
               "       dl-shard --info DIR [--json]\n"
               "       dl-shard --verify DIR\n"
               "       dl-shard --export DIR [--split PART]",
               "Reads tables or images once and writes shards and manifest.json for training.");
  t.group("Output")
      .option("output", "DIR", "where shards and manifest.json go", "shards", 'o')
      .option("shards", "N", "number of shards", "8", 'n')
      .option("by", "HOW", "which row goes to which shard: random, stratified, ... (dl-shard(1))", "random")
      .option("weights", "W,...", "weighted: the shards' sizes, in proportion")
      .option("key", "COLUMN", "hash: rows of one value stay together; '*': equal rows")
      .option("alpha", "A", "dirichlet: how alike the shards are; near 0, not at all", "0.5")
      .option("seed", "N", "for all that is random", "1")
      .option("test", "FRACTION", "part of the rows that is held out to judge by", "0.2")
      .option("validation", "FRACTION", "part of the rows that is held out to stop early by", "0")
      .option("scale", "HOW", "standard, minmax or none; fitted on the training part", "standard")
      .option("max-categories", "N", "features of a category column; rarer texts are 'other'", "64")
      .option("memory", "SIZE", "to stay below, whatever the input: 64M, 1G", "256M")
      .option("append", "DIR", "add the rows to DIR as further shards, transformed as the old ones [-n 1]")
      .flag("force", "replace what DIR holds");
  t.group("Input")
      .option("format", "FORMAT", "auto, csv, tsv, libsvm, idx or npy", "auto")
      .option("separator", "CHAR", "between cells; 'tab' is one too [told from the data]")
      .option("header", "HOW", "whether files begin with names: yes, no or auto", "auto")
      .option("label", "COLUMN[,..]", "name, or number from 0, negative from the end [the last column]")
      .option("category", "COLUMN,..", "numbers that are names of something: one feature each")
      .option("number", "COLUMN,..", "columns that look like words but hold numbers")
      .option("ignore", "COLUMN,..", "columns to leave out")
      .option("weight", "COLUMN", "what a row weighs in loss and averages")
      .option("missing", "TEXT,..", "what stands where nothing is known", "?,NA,")
      .option("indicator", "COLUMN,..|all", "columns that get one more feature: 1 where missing")
      .option("schema", "FILE", "what each column is, as --write-schema wrote it")
      .option("skip-bad", "N", "leave out at most N rows that are not as they must be", "0")
      .option("labels", "FILE", "labels of IDX or NPY samples")
      .option("max-expansion", "N", "refuse packed input that unpacks to more than N times its size", "1000")
      .option("task", "TASK", "classification, regression, or auto: told from the labels", "auto");
  t.group("Instead of writing")
      .option("write-schema", "FILE", "write what is inferred of FILE's columns; '-': to standard output")
      .option("info", "DIR", "show what DIR holds")
      .option("verify", "DIR", "check every file of DIR; exit 1 and its name where one is bad")
      .option("export", "DIR", "write rows of DIR as CSV to standard output, for other programs")
      .option("split", "PART", "of --export: train, test or validation", "train")
      .flag("json", "one JSON object instead of a table");
  return t.arguments("FILE", 0, SIZE_MAX);
}

std::optional<std::string> instead_of_writing(const cli::Given& given) {
  constexpr std::array<const char*, 3> kLooks = {"info", "verify", "export"};
  std::optional<std::string> found;
  for (const char* const look : kLooks) {
    if (!given.has(look)) continue;
    if (found) fail(Exit::usage, "--{} and --{}: one of them", *found, look);
    found = look;
  }
  if (given.has("split") && found != "export") fail(Exit::usage, "--split is of --export only");
  if (found && !given.arguments().empty()) {
    fail(Exit::usage, "stray argument {} (see dl-shard --help)", shown(given.arguments()[0]));
  }
  return found;
}

data::ShardOptions options_of(const cli::Given& given) {
  data::ShardOptions options;
  options.input.files = given.arguments();
  if (options.input.files.empty()) fail(Exit::usage, "FILE is missing (see dl-shard --help)");
  options.input.format = given.choice("format", {"auto", "csv", "tsv", "libsvm", "idx", "npy"});
  if (given.has("separator")) {
    const std::string text = given.text("separator");
    const bool tab = text == "tab" || text == "\\t";
    if ((!tab && text.size() != 1) || text == "\"" || text == "\n" || text == "\r" || text[0] < 0) {
      fail(Exit::usage, "--separator: {} is not one ASCII character, or 'tab'", shown(text));
    }
    options.input.separator = tab ? '\t' : text[0];
  }
  const std::string header = given.choice("header", {"yes", "no", "auto"});
  if (header != "auto") options.input.header = header == "yes";
  options.input.columns = wishes_of(given);
  options.input.labels = given.text("labels");
  options.input.reading.max_expansion = given.count("max-expansion", 1, UINT32_MAX);
  options.directory = given.text(given.has("append") ? "append" : "output");
  read_strategy(given, options);
  if (given.has("append")) keep_old(given, options);
  options.test = given.number("test", 0, 1);
  options.validation = given.number("validation", 0, 1);
  if (!(options.test + options.validation < 1)) {
    fail(Exit::usage, "--test {} and --validation {} leave nothing to train on", options.test,
         options.validation);
  }
  const std::string scale = given.choice("scale", {"standard", "minmax", "none"});
  options.fit.scale = scale == "standard" ? data::Scale::standard
                  : scale == "minmax" ? data::Scale::minmax
                                      : data::Scale::none;
  const std::string task = given.choice("task", {"classification", "regression", "auto"});
  if (task == "classification") options.task = data::Task::classification;
  if (task == "regression") options.task = data::Task::regression;
  options.fit.max_categories = static_cast<std::uint32_t>(given.count("max-categories", 1, 65536));
  options.memory = given.bytes("memory", std::uint64_t{16} << 20);
  options.skip_bad = given.count("skip-bad", 0, UINT64_MAX);
  options.force = given.flag("force");
  return options;
}

}  // namespace dl
