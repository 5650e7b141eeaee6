// SPDX-License-Identifier: MIT
#include "source.h"

#include <algorithm>
#include <vector>

#include "data/raw_rows.h"
#include "data/shard.h"

namespace dl::tool {

namespace {

// One file after the other, each in blocks of its own, as nodes cut them.
class ManifestSource : public Source {
 public:
  ManifestSource(fs::path directory, const std::string& split, const eval::LoadedModel& model,
                 const Log& log)
      : directory_(std::move(directory)), split_(split), ends_(model.spec.ends) {
    data::Manifest manifest = data::read_manifest(directory_);
    check_same_schema(model, manifest.schema, directory_.string());
    if (!model.manifest_sha256.empty() &&
        data::manifest_digest(directory_) != model.manifest_sha256) {
      log.warning("{}: not the manifest that the run trained on; it may have trained on these rows",
                  directory_.string());
    } else if (model.hold_out) {
      manifest = data::without_shard(std::move(manifest), *model.hold_out);
    }
    if (split == "train") {
      entries_ = manifest.shards;
    } else if (const auto& part = split == "test" ? manifest.test : manifest.validation; !part.empty()) {
      entries_ = part;
    } else {
      fail(Exit::data, "{}: no {} part; take another --split, or make one (dl-shard --{})",
           directory_.string(), split, split);
    }
  }

  eval::Rows next() override {
    while (!shard_ || row_ == shard_->rows()) {
      if (entry_ == entries_.size()) return {};
      open(entries_[entry_++]);
    }
    const std::uint32_t begin = row_;
    row_ += std::min(eval::kBlockRows, shard_->rows() - row_);
    return buffer_.load(*shard_, begin, row_);
  }
  bool has_targets() const override { return true; }
  std::string name() const override {
    return fmt::format("{} part of {}", split_ == "train" ? "training" : split_,
                       directory_.string());
  }

 private:
  void open(const data::ShardEntry& entry) {
    data::verify_digest(directory_, entry);
    shard_.emplace(directory_ / entry.file);
    row_ = 0;
    const std::uint32_t outputs = shard_->targets() > 0 ? shard_->targets() : shard_->classes();
    if (shard_->rows() != entry.samples || shard_->features() != ends_.inputs ||
        outputs != ends_.outputs) {
      fail(Exit::data, "{}: {} rows of {} features and {} classes or numbers, not {} of {} and {}",
           (directory_ / entry.file).string(), shard_->rows(), shard_->features(), outputs,
           entry.samples, ends_.inputs, ends_.outputs);
    }
  }

  fs::path directory_;
  std::string split_;
  nn::Ends ends_;
  std::vector<data::ShardEntry> entries_;
  std::size_t entry_ = 0;
  std::optional<data::Shard> shard_;
  std::uint32_t row_ = 0;
  eval::RowBuffer buffer_;
};

class RawSource : public Source {
 public:
  RawSource(std::string file, data::RawOptions options, const eval::LoadedModel& model)
      : file_(file), rows_(model.schema, {std::move(file)}, std::move(options)) {}

  eval::Rows next() override {
    if (rows_.read(eval::kBlockRows, chunk_) == 0) return {};
    return {chunk_.rows, chunk_.features, chunk_.classes, chunk_.numbers, chunk_.weights};
  }
  bool has_targets() const override { return rows_.has_targets(); }
  std::string name() const override { return file_ == "-" ? "standard input" : file_; }

 private:
  std::string file_;
  data::RawRows rows_;
  data::RawChunk chunk_;
};

data::RawOptions raw_options(const cli::Given& given) {
  data::RawOptions options;
  if (const auto header = given.choice("header", {"auto", "yes", "no"}); header != "auto") {
    options.header = header == "yes";
  }
  if (given.has("separator")) {
    const std::string text = given.text("separator");
    if (text != "tab" && text.size() != 1) {
      fail(Exit::usage, "--separator: {} is not one character, or the word tab", shown(text));
    }
    options.separator = text == "tab" ? '\t' : text[0];
  }
  options.labels = given.text("labels");
  options.reading.max_expansion = given.count("max-expansion", 1, UINT32_MAX);
  return options;
}

}  // namespace

std::unique_ptr<Source> open_source(const cli::Given& given, const eval::LoadedModel& model,
                                    const Log& log) {
  std::string data = given.text("data");
  if (data.empty()) {
    if (model.data.empty()) {
      fail(Exit::usage, "--data is missing, and {} does not say where its data was",
           model.path.string());
    }
    data = model.data;
  }
  const std::string split = given.choice("split", {"test", "train", "validation"});
  std::error_code ignored;
  const bool raw = data == "-" || (fs::exists(data, ignored) && !fs::is_directory(data, ignored));
  for (const char* name : {"header", "separator", "labels", "max-expansion"}) {
    if (!raw && given.has(name)) {
      fail(Exit::usage, "--{}: {} is no raw file but a manifest's directory", name, shown(data));
    }
  }
  if (!raw) return std::make_unique<ManifestSource>(data, split, model, log);
  if (given.has("split")) {
    fail(Exit::usage, "--split: {} is a raw file; parts are a manifest's", shown(data));
  }
  return std::make_unique<RawSource>(data, raw_options(given), model);
}

}  // namespace dl::tool
