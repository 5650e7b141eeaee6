// SPDX-License-Identifier: MIT
// Small things that several of the data tests need.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/manifest.h"

namespace dl::test {

struct Complaint {
  Exit code = Exit::ok;
  std::string text;
};

// What `work` throws; code ok where it throws nothing.
template <typename Work>
Complaint complaint_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

// Quicker than dl::write_file, which waits for the disk: for tests that write thousands of files.
inline void write_quickly(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::remove(path);  // a file that is cut to nothing is flushed when it is closed
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  out.close();
  if (!out) fail(Exit::io, "{}: cannot be written", path.string());
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline data::Column number_column(const std::string& name, std::uint32_t index, data::Scaling scaling,
                                  std::uint32_t width = 1) {
  data::Column column;
  column.name = name;
  column.index = index;
  column.width = width;
  column.scaling = scaling;
  return column;
}

inline data::Schema flowers() {
  data::Schema schema;
  schema.input = {"csv", ';', true, 3, {}, {}};
  schema.columns = {number_column("length", 0, {1.5, 0.25}), number_column("width", 2, {-3, 1.0 / 3})};
  schema.targets = {{"kind", 1, {"iris", "rose", "tulip"}, {}}};
  return schema;
}

inline data::Schema prices() {
  data::Schema schema;
  schema.task = data::Task::regression;
  schema.input = {"idx", ',', false, 0, {2, 2}, {}};
  schema.columns = {number_column("pixel", 0, {0, 1.0 / 255}, 4)};
  schema.targets = {{"label", 0, {}, {100, 0.125}}};
  return schema;
}

}  // namespace dl::test
