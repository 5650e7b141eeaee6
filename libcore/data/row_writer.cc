// SPDX-License-Identifier: MIT
#include "data/row_writer.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <thread>

#include "base/error.h"

namespace dl::data {

std::uint32_t next_place(Placement& placement, const Intake& intake, RowKeys* keys, const double* row,
                         const Label& label) {
  if (placement.knows_next()) return placement.next({});
  SampleFacts facts;
  facts.code = intake.code_of(label);
  if (keys != nullptr) {
    facts.key = keys->of_row(row);
  } else if (intake.layout().key) {
    facts.key = static_cast<std::uint64_t>(row[intake.layout().key_place()]);
  }
  return placement.next(facts);
}

RowWriter::RowWriter(Intake& intake, Output& output, const std::vector<std::string>& names,
                     const std::vector<std::uint64_t>& rows, std::uint32_t shards)
    : intake_(intake), encoder_(intake.schema(), intake.dictionaries()) {
  const Schema& schema = intake.schema();
  ShardShape shape;
  shape.features = schema.features();
  (schema.task == Task::classification ? shape.classes : shape.targets) = schema.outputs();
  shape.weights = intake.layout().weight;
  shape.block_rows = usual_block_rows(shape.features, shards);
  for (std::size_t place = 0; place < names.size(); ++place) {
    if (rows[place] > UINT32_MAX) {
      fail(Exit::data, "{}: {} samples, but a shard holds at most {}; ask for more shards (-n)", names[place],
           rows[place], UINT32_MAX);
    }
    shape.rows = static_cast<std::uint32_t>(rows[place]);
    files_.push_back(place < shards || rows[place] > 0 ? &output.open(names[place], shape) : nullptr);
  }
}

void RowWriter::write(const Placement& placement, const RowKeys* keys, unsigned threads) {
  if (threads == 0) threads = std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
  std::vector<std::exception_ptr> errors(threads);
  std::atomic<bool> stop = false;
  const auto work = [&](unsigned member) {
    try {
      write_part(placement, keys, member, threads, stop);
    } catch (...) {
      errors[member] = std::current_exception();
      stop = true;
    }
  };
  std::vector<std::thread> others;
  for (unsigned member = 1; member < threads; ++member) others.emplace_back(work, member);
  work(0);
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

void RowWriter::write_part(Placement placement, const RowKeys* keys, unsigned member, unsigned members,
                           const std::atomic<bool>& stop) const {
  std::optional<RowKeys> own_keys;  // they remember what they saw
  if (keys != nullptr) own_keys = *keys;
  std::vector<float> numbers;
  std::uint64_t number = 0;
  placement.restart();
  const auto each = [&](const double* row, const Label& label) {
    const std::uint32_t place = next_place(placement, intake_, own_keys ? &*own_keys : nullptr, row, label);
    if (place % members == member) write_row(*files_[place], row, label, number, numbers);
    ++number;
  };
  if (member == 0) {
    intake_.for_each_row(each);
  } else {
    struct Stopped {};
    try {
      intake_.for_each_row(each, [&](std::uint64_t) {
        if (stop) throw Stopped();
      });
    } catch (const Stopped&) {
      return;
    }
  }
}

void RowWriter::write_row(ShardWriter& to, const double* row, const Label& label, std::uint64_t number,
                          std::vector<float>& numbers) const {
  const Schema& schema = intake_.schema();
  if (!encoder_.encode(row, to.row())) refuse(to.row(), number);
  const RowLayout& layout = intake_.layout();
  const float weight = layout.weight ? static_cast<float>(row[layout.weight_place()]) : 1.0F;
  if (schema.task == Task::classification) {
    to.end_row(intake_.code_of(label), weight);
    return;
  }
  numbers.resize(schema.targets.size());
  for (std::uint32_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = schema.scale_target(intake_.number_of(row, label, i), i);
    if (!std::isfinite(numbers[i])) refuse(schema.targets[i].name, number);
  }
  to.end_row(numbers, weight);
}

void RowWriter::refuse(const float* features, std::uint64_t number) const {
  std::uint32_t at = 0;
  while (std::isfinite(features[at])) ++at;
  refuse(intake_.schema().feature_name(at), number);
}

void RowWriter::refuse(const std::string& name, std::uint64_t number) const {
  fail(Exit::data, "{}: sample {} (from 0), column {}: scaled, it is too large for a float32",
       intake_.counts().name, number, shown(name));
}

}  // namespace dl::data
