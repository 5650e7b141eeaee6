// SPDX-License-Identifier: MIT
#include "train/update_log.h"

#include "base/error.h"
#include "base/hash.h"
#include "train/compression.h"

namespace dl::train {

namespace {

constexpr std::string_view kMagic = "dlupdate";
constexpr std::uint32_t kVersion = 2;  // 1: parts were of equal length, and nothing was compressed
constexpr std::uint32_t kMostGroups = 65536;
constexpr std::uint32_t kMostRunId = 64;
constexpr std::size_t kLength = 4, kChecksum = 4;

Bytes head_of(const LoggedRun& run) {
  Bytes head;
  put_text(head, kMagic);
  put(head, kVersion);
  put(head, static_cast<std::uint32_t>(run.id.size()));
  put_text(head, run.id);
  put(head, run.groups);
  put(head, crc32c(head));
  return head;
}

// Of a record with its length, behind bytes whose checksum is `before`.
Bytes framed(ByteView record, std::uint32_t before) {
  Bytes bytes;
  put(bytes, static_cast<std::uint32_t>(record.size()));
  bytes.insert(bytes.end(), record.begin(), record.end());
  put(bytes, crc32c(bytes, before));
  return bytes;
}

MappedFile opened(const fs::path& path) {
  std::error_code none;
  if (fs::exists(path, none)) return MappedFile(path);
  fail(Exit::no_input, "{}: there is no such file; without it the run can be neither replayed nor gone on with (a new "
                       "one can begin with its parameters: --init)", path.string());
}

void check_run(const fs::path& path, const UpdateReader& reader, const LoggedRun& run) {
  if (reader.run_id() != run.id) {
    fail(Exit::disagree, "{}: it is of run {}, and this is run {}", path.string(), shown(reader.run_id()), run.id);
  }
  if (reader.groups() != run.groups) {
    fail(Exit::disagree, "{}: it is of {} compressed groups of shards, and the run has {}", path.string(),
         reader.groups(), run.groups);
  }
}

// What the run has to go on from; nothing at its beginning.
std::optional<UpdateReader> earlier(const fs::path& path, const LoggedRun& run, std::uint64_t step) {
  std::optional<UpdateReader> reader;
  if (step == 0) return reader;
  reader.emplace(path);
  check_run(path, *reader, run);
  return reader;
}

}  // namespace

UpdateReader::UpdateReader(const fs::path& path) : file_(opened(path)), name_(path.string()) {
  const ByteView bytes = file_.bytes();
  const std::string what = name_ + ": header";
  ByteReader in(bytes, what);
  if (bytes.size() < kMagic.size() || in.text(kMagic.size()) != kMagic) {
    fail(Exit::data, "{}: this is no log of updates", name_);
  }
  const auto version = in.get<std::uint32_t>();
  if (version != kVersion) {
    fail(Exit::disagree,
         "{}: its format is version {}, and this is version {}; a new run can begin with --init from the newest checkpoint",
         name_, version, kVersion);
  }
  const auto length = in.get<std::uint32_t>();
  if (length > kMostRunId) fail(Exit::data, "{}: a run's name of {} bytes, and {} may be", what, length, kMostRunId);
  run_id_ = in.text(length);
  groups_ = in.get<std::uint32_t>();
  const std::uint32_t wanted = crc32c(bytes.first(in.offset()));
  if (in.get<std::uint32_t>() != wanted) fail(Exit::data, "{}: a wrong checksum", what);
  if (groups_ > kMostGroups) fail(Exit::data, "{}: {} groups, and {} may be", what, groups_, kMostGroups);
  at_ = in.offset();
  crc_ = crc32c(bytes.first(at_));
}

std::optional<RoundRecord> UpdateReader::next() {
  const ByteView rest = file_.bytes().subspan(at_);
  if (rest.empty()) return std::nullopt;
  const std::string what = fmt::format("{}: the record at byte {}", name_, at_);
  ByteReader in(rest, what);
  const auto length = in.get<std::uint32_t>();
  if (length > kMostRecordBytes) fail(Exit::data, "{} has {} bytes, and {} may be", what, length, kMostRecordBytes);
  const ByteView payload = in.take(length);
  const std::uint32_t wanted = crc32c(rest.first(kLength + length), crc_);
  if (in.get<std::uint32_t>() != wanted) fail(Exit::data, "{} has a wrong checksum", what);
  RoundRecord record = RoundRecord::decode(payload, groups_, what);
  if (record.first != step_) fail(Exit::data, "{} begins at step {}, and {} is due", what, record.first, step_);
  crc_ = crc32c(rest.first(in.offset()), crc_);
  at_ += in.offset();
  step_ = record.last;
  return record;
}

void UpdateReader::pass_to(std::uint64_t step) {
  while (step_ < step && next()) {
  }
  if (step_ == step) return;
  if (step_ < step) fail(Exit::data, "{}: it ends at step {}, and the run is at step {}", name_, step_, step);
  fail(Exit::data, "{}: a round ends at step {}, none at step {}, where the run is", name_, step_, step);
}

LoggedRun logged_run(const std::string& run_id, const RunConfig& config) {
  return {run_id, compressed_groups(config)};
}

void check_updates(const fs::path& path, const LoggedRun& run, std::uint32_t shards, std::uint64_t step) {
  UpdateReader reader(path);
  check_run(path, reader, run);
  while (reader.step() < step) {
    const std::uint64_t offset = reader.offset();
    const auto record = reader.next();
    if (record && record->shards != shards) {
      fail(Exit::data, "{}: the record at byte {} is of {} shards, and the run has {}", path.string(), offset,
           record->shards, shards);
    }
    if (!record) break;
  }
  reader.pass_to(step);
}

UpdateLog::UpdateLog(const fs::path& path, const LoggedRun& run, std::uint64_t step)
    : UpdateLog(earlier(path, run, step), path, run, step) {}

UpdateLog::UpdateLog(std::optional<UpdateReader> before, const fs::path& path, const LoggedRun& run,
                     std::uint64_t step)
    : groups_(run.groups), file_(path) {
  if (before) {
    cut_behind(*before, step);
    return;
  }
  const Bytes head = head_of(run);
  file_.cut(0);
  file_.append(head);
  crc_ = crc32c(head);
}

void UpdateLog::cut_behind(UpdateReader& reader, std::uint64_t step) {
  reader.pass_to(step);
  file_.cut(reader.offset());
  told_ = step;
  crc_ = reader.checksum();
}

void UpdateLog::go_on_from(std::uint64_t step) {
  const std::lock_guard lock(mutex_);
  while (!owed_.empty() && owed_.back().last > step) owed_.pop_back();
  if (step == (owed_.empty() ? told_ : owed_.back().last)) {
    told_ = step;
    return;
  }
  owed_.clear();
  UpdateReader reader(file_.path());
  cut_behind(reader, step);
}

void UpdateLog::append(std::uint64_t first, std::uint64_t last, ByteView record) {
  const std::lock_guard lock(mutex_);
  if (last <= told_) return;
  const std::string what = fmt::format("{}: a record of steps {} to {}", file_.path().string(), first, last);
  const RoundRecord round = RoundRecord::decode(record, groups_, what);
  if (round.first != first || round.last != last) fail(Exit::data, "{} says that it is of others", what);
  if (first != told_) fail(Exit::data, "{} does not follow step {}", what, told_);
  told_ = last;
  owed_.push_back({last, {record.begin(), record.end()}});
  write_owed();
}

void UpdateLog::write_owed() {
  for (; !owed_.empty(); owed_.pop_front()) {
    const Bytes bytes = framed(owed_.front().record, crc_);
    file_.append(bytes);
    crc_ = crc32c(bytes, crc_);
  }
}

void UpdateLog::sync() {
  const std::lock_guard lock(mutex_);
  write_owed();
  file_.sync();
}

}  // namespace dl::train
