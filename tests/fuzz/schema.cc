// SPDX-License-Identifier: MIT
// A schema as manifests and checkpoints carry it, and what encodes rows by it.
#include <vector>

#include "base/json.h"
#include "data/dictionary.h"
#include "data/encoder.h"
#include "data/row_source.h"
#include "data/schema.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dl;
  fuzz::accepted([&] {
    const data::Schema schema = data::Schema::from_json(parse_json(fuzz::text_of(data, size), "fuzz"), "fuzz");
    fuzz::must(data::Schema::from_json(schema.to_json(), "again") == schema, "what is written is read back");
    fuzz::must(schema.outputs() > 0, "there is something to predict");
    if (schema.features() > 1U << 16) return;
    std::vector<data::Dictionary> dictionaries;
    for (const data::Column& column : schema.columns) dictionaries.emplace_back(column.categories);
    const data::Encoder encoder(schema, dictionaries);
    std::vector<double> cells(data::RowLayout::of(schema).width() + 1, 1.0);
    std::vector<float> features(encoder.features());
    fuzz::must(encoder.features() == schema.features(), "the encoder gives the schema's features");
    (void)encoder.encode(cells.data(), features.data());
    if (schema.features() > 0) (void)schema.feature_name(schema.features() - 1);
    (void)schema.find_class("1");
  });
  return 0;
}
