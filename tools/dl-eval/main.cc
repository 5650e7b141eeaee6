// SPDX-License-Identifier: MIT
// dl-eval: a checkpoint in, a judgement out.
#include <algorithm>

#include "audit.h"
#include "base/workers.h"
#include "cli.h"
#include "eval/loaded_model.h"
#include "linalg/arithmetic.h"
#include "nn/model.h"
#include "report.h"
#include "source.h"

using namespace dl;

namespace {

cli::Table options() {
  cli::Table table("dl-eval", "dl-eval [OPTION]... RUN|CHECKPOINT",
                   "Judges a checkpoint on rows with known answers, or predicts those of others.");
  table.arguments("RUN|CHECKPOINT", 1, 1)
      .group("Rows")
      .option("data", "DIR|FILE|-", "manifest's directory, raw file or standard input "
              "[the run's data]")
      .option("split", "PART", "of a manifest: test, train or validation", "test")
      .option("labels", "FILE", "labels of a raw IDX or NPY file")
      .option("max-expansion", "N", "refuse packed raw input that unpacks to more than N times its size", "1000")
      .option("header", "WHEN", "whether a raw table begins with names: auto, yes or no", "auto")
      .option("separator", "C", "between the cells of a raw table: a character, or tab")
      .flag("best", "take RUN/best.safetensors, not RUN/latest")
      .group("Output")
      .flag("json", "one JSON object on one line")
      .flag("audit", "instead prove from RUN/ledger that every sample was used once per epoch")
      .flag("confusion", "show the confusion matrix too")
      .flag("predict", "a line per row instead: class, tab, probability; or the number")
      .option("fail-under", "F", "exit 1 where accuracy (or R2 of a number) is below F")
      .group("Computing")
      .option("threads", "N", "compute threads", "1")
      .option("kernel", "NAME", "automatic, avx512, avx2 or scalar", "automatic")
      .option("arithmetic", "NAME", "defined or openblas; unset: as the run was trained");
  return table;
}

nn::Model model_of(const eval::LoadedModel& loaded, const cli::Given& given, Workers& workers,
                   const Log& log) {
  const std::string arithmetic =
      given.has("arithmetic") ? given.text("arithmetic") : loaded.arithmetic;
  const auto chosen = linalg::choose(given.text("kernel"), arithmetic);
  log.debug("arithmetic {}, kernel {}", chosen.name(), chosen.kernel_name());
  nn::Model model(loaded.spec, chosen, workers);
  std::copy(loaded.parameters.begin(), loaded.parameters.end(), model.parameters().begin());
  return model;
}

// Calls each(rows, outputs) for every block of the source; 65 where it has none.
template <typename Each>
void for_each_block(tool::Source& source, nn::Model& model, const Each& each) {
  std::vector<float> outputs;
  bool any = false;
  for (eval::Rows rows = source.next(); rows.count > 0; rows = source.next()) {
    any = true;
    outputs.resize(std::size_t{rows.count} * model.spec().ends.outputs);
    model.predict(rows.features, rows.count, outputs);
    each(rows, outputs);
  }
  if (!any) fail(Exit::data, "{}: no rows", source.name());
}

void predict(tool::Source& source, nn::Model& model, const eval::LoadedModel& loaded, bool json) {
  for_each_block(source, model, [&](const eval::Rows&, std::span<const float> outputs) {
    tool::print(tool::lines(eval::predictions(outputs, loaded.spec.ends, loaded.schema),
                            loaded.schema, json));
  });
}

tool::Judgement judge(tool::Source& source, nn::Model& model, const eval::LoadedModel& loaded) {
  const nn::Ends& ends = loaded.spec.ends;
  tool::Judgement judgement;
  judgement.confusion = eval::Confusion(ends.outputs);
  judgement.rows = source.name();
  for_each_block(source, model, [&](const eval::Rows& rows, std::span<const float> outputs) {
    judgement.score.add(eval::score_outputs(outputs, rows, ends, loaded.schema));
    if (ends.loss != nn::Loss::softmax_cross_entropy) {
      judgement.numbers.resize(ends.outputs);
      for (std::uint32_t j = 0; j < ends.outputs; ++j) {
        judgement.numbers[j].add(eval::score_number(outputs, rows, ends, loaded.schema, j));
      }
      return;
    }
    for (std::uint32_t i = 0; i < rows.count; ++i) {
      const auto row = outputs.subspan(std::size_t{i} * ends.outputs, ends.outputs);
      judgement.confusion.add(rows.classes[i], eval::predicted_class(row));
    }
  });
  return judgement;
}

Exit work(const cli::Given& given, const Log& log) {
  if (given.flag("audit")) return tool::audit_run(given);
  const bool json = given.flag("json");
  const auto threads = static_cast<unsigned>(given.count("threads", 1, 1024));
  if (given.flag("predict") && (given.flag("confusion") || given.has("fail-under"))) {
    fail(Exit::usage, "--predict judges nothing: it goes with neither --confusion nor --fail-under");
  }
  const double least = given.has("fail-under") ? given.number("fail-under", -1e9, 1) : 0;

  const eval::LoadedModel loaded =
      eval::load_model(given.arguments().front(), given.flag("best"));
  if (given.flag("confusion")) tool::check_matrix(loaded);
  const auto source = tool::open_source(given, loaded, log);
  if (!given.flag("predict") && !source->has_targets()) {
    fail(Exit::data, "{}: the rows have no '{}' to judge by; --predict needs none", source->name(),
         loaded.schema.target_name());
  }
  flush_denormals();
  Workers workers(threads);
  nn::Model model = model_of(loaded, given, workers, log);
  if (given.flag("predict")) {
    predict(*source, model, loaded, json);
    return Exit::ok;
  }
  const tool::Judgement judgement = judge(*source, model, loaded);
  if (!(judgement.score.weight > 0)) {
    fail(Exit::data, "{}: all rows weigh 0, there is nothing to judge by", source->name());
  }
  const bool confusion = given.flag("confusion");
  tool::print(json ? tool::json_line(judgement, loaded, confusion)
                   : tool::table(judgement, loaded, confusion));
  if (given.has("fail-under") && !(tool::quality(judgement, loaded) >= least)) {
    log.info("{} is below {}", tool::quality(judgement, loaded), least);
    return Exit::no;
  }
  return Exit::ok;
}

}  // namespace

int main(int argc, char** argv) { return cli::run(options(), argc, argv, work); }
