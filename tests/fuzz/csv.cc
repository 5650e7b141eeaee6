// SPDX-License-Identifier: MIT
// Separated text. The first byte chooses the options.
#include "table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  if (size == 0) return 0;
  const unsigned choice = data[0];
  const fuzz::MemoryFile file(fuzz::text_of(data + 1, size - 1));
  data::InputOptions options;
  options.files.assign(choice & 1 ? 2 : 1, file.path());
  options.format = "csv";
  if (choice & 2) options.header = (choice & 4) != 0;
  if (choice & 8) options.separator = choice & 16 ? '\t' : ' ';
  if (choice & 32) options.columns.labels = "0";
  if (choice & 64) options.columns.indicators = "all";
  data::Schema schema;
  if (fuzz::read_table(options, (choice & 128) != 0, schema)) fuzz::read_raw(schema, file.path(), "");
  return 0;
}
