// SPDX-License-Identifier: MIT
// Sparse text. The first byte chooses whether bad rows are left out, and how many files there are.
#include "data/libsvm_reader.h"
#include "table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  if (size == 0) return 0;
  const auto text = fuzz::text_of(data + 1, size - 1);
  const fuzz::MemoryFile file(text);
  data::InputOptions options;
  options.files.assign(data[0] & 1 ? 2 : 1, file.path());
  options.format = "libsvm";
  data::Schema schema;
  const bool read = fuzz::read_table(options, (data[0] & 2) != 0, schema);
  if (read) fuzz::read_raw(schema, file.path(), "");
  (void)data::looks_like_libsvm(text);
  return 0;
}
