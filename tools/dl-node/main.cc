// SPDX-License-Identifier: MIT
#include <malloc.h>

#include <cstdlib>

#include "cli.h"
#include "net/address.h"
#include "streams.h"
#include "tls_options.h"
#include "train/node.h"

using namespace dl;

namespace {

// What it shows to be let in. A key itself is never on a command line: anybody may read that.
void read_credentials(const cli::Given& given, train::NodeOptions& options, const cli::Streams& streams) {
  options.tls = cli::read_tls_options(given);
  if (options.tls.given()) return;
  options.insecure = given.flag("insecure");
  if (options.insecure) {
    if (given.has("key")) fail(Exit::usage, "--insecure goes without a key; give that or --key, not both");
    constexpr const char* kText = "--insecure: nothing is encrypted, and nobody has to show a key";
    const bool here = net::is_loopback(net::parse_address(options.coordinator));
    here ? streams.log().warning("{}", kText) : streams.alarm(kText);
    return;
  }
  const char* variable = std::getenv("DL_KEY_FILE");
  options.key = given.has("key") ? given.text("key") : variable == nullptr ? "" : variable;
  if (options.key.empty()) {
    fail(Exit::denied, "--key FILE is missing (or DL_KEY_FILE, or --tls-cert, --tls-key and --tls-ca): the "
                       "coordinator at {} lets nobody in without a copy of RUN/key or a certificate", options.coordinator);
  }
}

// Messages between nodes are megabytes that come and go in each step. Given back to the system they are
// faulted in and zeroed the next time, page by page, which takes longer than to send them.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  ::mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  cli::Table table("dl-node", "dl-node --coord HOST:PORT [OPTION]...",
                   "Works for a training run: one node. The coordinator tells it what to do.");
  table.group("Options")
      .option("coord", "HOST:PORT", "where the coordinator is (RUN/address says it)")
      .option("key", "FILE", "the run's key, a copy of RUN/key [DL_KEY_FILE]")
      .flag("insecure", "no key and no encryption, where dl-coord has --insecure too")
      .option("data", "DIR", "the shards on this machine [where the coordinator has them]")
      .flag("fetch", "fetch the shards from the coordinator, even if its directory seems to be here")
      .option("cache", "DIR", "where fetched shards are kept [$XDG_CACHE_HOME/dl or ~/.cache/dl]")
      .option("threads", "N", "compute threads", "1")
      .option("kernel", "NAME", "automatic, avx512, avx2 or scalar; the bits are the same", "automatic")
      .option("transport", "HOW", "between nodes: auto (shared memory on one host), or tcp", "auto")
      .option("wait", "TIME", "how long to wait for the coordinator", "60s")
      .config_file();
  cli::add_tls_options(table);
  const auto work = [](const cli::Given& given, const cli::Streams& streams) {
    if (!given.has("coord")) fail(Exit::usage, "--coord HOST:PORT is missing (see dl-node --help)");
    keep_freed_memory();
    train::NodeOptions options;
    options.coordinator = net::to_string(net::parse_address(given.text("coord")));
    read_credentials(given, options, streams);
    options.data = given.text("data");
    options.fetch = given.flag("fetch");
    options.cache = given.text("cache");
    if (options.fetch && !options.data.empty()) {
      fail(Exit::usage, "--fetch: --data {} says where the shards are; give one of the two", shown(options.data));
    }
    options.threads = static_cast<unsigned>(given.count("threads", 1, 1024));
    options.kernel = given.choice("kernel", {"automatic", "avx512", "avx2", "scalar"});
    options.transport = given.choice("transport", {"auto", "tcp"}) == "tcp"
                            ? comm::Transport::tcp
                            : comm::Transport::automatic;
    options.wait_seconds = given.seconds("wait");
    return static_cast<Exit>(train::run_node(options, streams.log()));
  };
  return cli::run(table, argc, argv, [&](const cli::Given& given, const Log& log) {
    cli::Streams streams(log);
    return streams.run([&] { return work(given, streams); }, cli::Streams::kShort);
  });
}
