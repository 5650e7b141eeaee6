// SPDX-License-Identifier: MIT
// dl-coord: who is in, who does what, when to average.
#include "options.h"
#include "replay.h"
#include "run_directory.h"
#include "status.h"
#include "streams.h"
#include "training.h"

using namespace dl;
using namespace dl::tool;

int main(int argc, char** argv) {
  return cli::run(option_table(), argc, argv, [](const cli::Given& given, const Log& log) {
    if (given.has("status")) return show_status(given.text("status"), given.flag("json"));
    if (given.has("stop")) return stop_run(given.text("stop"), log);
    if (given.has("rekey")) return rekey(given.text("rekey"), log);
    cli::Streams streams(log);
    return streams.run([&] { return given.has("replay") ? replay(given, streams) : train_run(given, streams); },
                       std::nullopt);
  });
}
