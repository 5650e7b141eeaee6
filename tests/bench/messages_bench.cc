// SPDX-License-Identifier: MIT
// Messages between two processes of this machine, as modes async, pipeline and tensor send them: what
// they cost by way and size.
//
//   messages-bench [free|pinned [WAY]]
//
// Three ways: TCP under a key (as between hosts), TCP without one, and what nodes of one host find by
// themselves. For each: the time of a message there and one back, one at a time; and messages a second in
// one direction, eight under way, with the processor time that both processes spend on one. pinned: each
// process on a core of its own. WAY: only this one, tls, plain or host.
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "comm/mesh.h"
#include "net/loop.h"
#include "processes.h"
#include "support/keys.h"

using namespace dl;
using bench::pin;
using bench::processor_seconds;

namespace {

constexpr std::array<std::uint64_t, 5> kBytes = {64, 4096, 65536, 1 << 20, 8 << 20};
constexpr int kUnderWay = 8;

void send(comm::Communicator& end, const Bytes& bytes, std::size_t size) {
  const ByteView all = ByteView(bytes).first(size);
  end.send(1 - end.rank(), 0, std::span(&all, 1));
}

double there_and_back(comm::Communicator& end, const Bytes& bytes, std::size_t size, int count) {
  const std::int64_t begin = monotonic_ns();
  for (int i = 0; i < count; ++i) {
    if (end.rank() == 0) send(end, bytes, size);
    end.take(true);
    if (end.rank() == 1) send(end, bytes, size);
  }
  return seconds_between(begin, monotonic_ns()) / count;
}

// Rank 1 gives a sign for each message, and rank 0 is eight ahead of it at most.
double one_way(comm::Communicator& end, const Bytes& bytes, std::size_t size, int count) {
  const std::int64_t begin = monotonic_ns();
  for (int i = 0; i < count + kUnderWay; ++i) {
    if (end.rank() == 0) {
      if (i < count) send(end, bytes, size);
      if (i >= kUnderWay) end.take(true);
    } else if (i < count) {
      end.take(true);
      send(end, bytes, 0);
    }
  }
  return seconds_between(begin, monotonic_ns()) / count;
}

double median(std::array<double, 5> runs) {
  std::ranges::sort(runs);
  return runs[2];
}

void measure(comm::Mesh& mesh, const comm::MeshGroup& group, std::string_view way) {
  comm::SumPlan plan;
  plan.shards = 2;
  plan.parts_of_rank = {{{0, 1}}, {{1, 2}}};
  plan.message_bytes = kBytes.back();
  const auto end = mesh.connect(group, plan, net::Milliseconds(10000));
  const Bytes bytes(kBytes.back(), std::byte{7});
  for (const std::uint64_t size : kBytes) {
    const int count = std::clamp<int>(static_cast<int>((std::uint64_t{64} << 20) / size), 8, 3000);
    there_and_back(*end, bytes, size, count);
    std::array<double, 5> turns{}, ways{};
    for (double& turn : turns) turn = there_and_back(*end, bytes, size, count);
    const double before = processor_seconds();
    for (double& run : ways) run = one_way(*end, bytes, size, count);
    const double own = (processor_seconds() - before) / (5 * count);
    // Of both.
    const std::array<std::uint32_t, 2> sizes = {sizeof own, sizeof own};
    const ByteView all = end->gather(std::as_bytes(std::span(&own, 1)), sizes);
    std::array<double, 2> used{};
    std::ranges::copy(all, std::as_writable_bytes(std::span(used)).begin());
    if (group.rank != 0) continue;
    const double time = median(ways);
    std::printf("%-20.*s %-24s bytes=%8llu  there and back %9.1f us  one way %9.0f messages/s %8.1f MB/s  processor %8.1f us\n",
                static_cast<int>(way.size()), way.data(), end->transport().c_str(),
                static_cast<unsigned long long>(size), median(turns) * 1e6, 1 / time,
                static_cast<double>(size) / time / 1e6, (used[0] + used[1]) * 1e6);
    std::fflush(stdout);
  }
}

// Two processes that meet. 0 when both ended well.
int run(std::string_view way, comm::Transport transport, const net::Guard& guard, bool pinned) {
  std::array<std::array<int, 2>, 2> pipes{};  // each process reads its own
  for (auto& ends : pipes) {
    if (::pipe(ends.data()) != 0) return 1;
  }
  const pid_t child = ::fork();
  const std::uint32_t rank = child == 0 ? 1 : 0;
  if (pinned) pin(rank);
  {
    net::Loop loop;
    loop.start();
    comm::Mesh mesh(loop, {"127.0.0.1", 0}, transport, guard);
    const std::uint16_t own = mesh.port();
    std::uint16_t other = 0;
    if (::write(pipes[1 - rank][1], &own, sizeof own) != sizeof own ||
        ::read(pipes[rank][0], &other, sizeof other) != sizeof other) {
      return 1;
    }
    comm::MeshGroup group{"bench", 1, rank, {{"127.0.0.1", own}, {"127.0.0.1", own}}};
    group.members[1 - rank].port = other;
    measure(mesh, group, way);
  }
  if (child == 0) ::_exit(0);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const bool pinned = argc > 1 && std::string_view(argv[1]) == "pinned";
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // as in dl-node
  ::mallopt(M_TRIM_THRESHOLD, 256 << 20);
  const std::string_view only = argc > 2 ? argv[2] : "";
  int failed = 0;
  if (only.empty() || only == "tls") {
    failed += run("tcp, TLS", comm::Transport::tcp, {.credentials = test::key_of(1)}, pinned);
  }
  if (only.empty() || only == "plain") failed += run("tcp, plain", comm::Transport::tcp, {}, pinned);
  if (only.empty() || only == "host") {
    failed += run("auto, with a key", comm::Transport::automatic, {.credentials = test::key_of(1)}, pinned);
  }
  return failed == 0 ? 0 : 1;
}
