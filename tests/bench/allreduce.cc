// SPDX-License-Identifier: MIT
// Sums between processes on this machine: time per sum and bus bandwidth, by size.
//
//   allreduce-bench [RANKS=2 [auto|tcp[:COLLECTIVE] [free|pinned [PIECE_KIB [ONE_ROUND_KIB [HOSTS]]]]]]
//
// HOSTS: rank i runs in the network namespace HOSTSi, where it has the address 10.79.0.(i+1)
// (links.sh makes them). 0 KIB is the default.
//
// auto is shared memory. COLLECTIVE: direct, doubling, tree, or auto, which measures the links first; direct where it is
// not given. Parts and results lie where the communicator has them, and parts are written
// anew before each sum, as in training; the time is that of the sum alone.
// pinned: each rank on a core of its own, as if the cores were hosts; free, the kernel likes to put
// the two ends of a loopback connection on one core.
//
// On a machine that others use too, look at the processor time of a rank beside the time; it has the
// writing in it.
// Bus bandwidth is 2 (n-1)/n times the vector's bytes over the time, as for a ring. A sum is post,
// start, wait, collect with an empty record; each rank holds one shard. The median of five runs.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/workers.h"
#include "comm/mesh.h"
#include "net/loop.h"
#include "processes.h"

using namespace dl;
using bench::pin;
using bench::processor_seconds;

namespace {

constexpr std::array<std::uint64_t, 7> kFloats = {256,     4096,    65536,  262144,
                                                  1 << 20, 1 << 22, 1 << 24};

comm::SumPlan plan_of(std::uint32_t ranks, std::uint64_t floats) {
  comm::SumPlan plan;
  plan.shards = ranks;
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    plan.parts_of_rank.push_back({{rank, rank + 1}});
  plan.buckets = {{0, floats}};
  return plan;
}

// This process, into a host of its own; how others reach it there.
std::string enter(const std::string& hosts, std::uint32_t rank) {
  if (hosts.empty()) return "127.0.0.1";
  const int space = ::open(("/var/run/netns/" + hosts + std::to_string(rank)).c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || ::setns(space, CLONE_NEWNET) != 0) fail(Exit::no_input, "no namespace {}{}", hosts, rank);
  ::close(space);
  return "10.79.0." + std::to_string(rank + 1);
}

double sums(comm::Communicator& group, int count) {
  double seconds = 0;
  for (int i = 0; i < count; ++i) {
    std::ranges::fill(group.part(0), 1.0F);  // so that it lies in this core's cache, as gradients do
    const std::int64_t begin = monotonic_ns();
    group.post({});
    group.start(0);
    group.wait(0);
    group.collect();
    seconds += seconds_between(begin, monotonic_ns());
  }
  return seconds / count;
}

void measure(comm::Mesh& mesh, comm::MeshGroup group, std::uint32_t ranks,
             const comm::TcpTuning& tuning, bool slow) {
  for (const std::uint64_t floats : kFloats) {
    if (slow && floats > (std::uint64_t{1} << 22)) break;
    ++group.generation;
    const auto end = mesh.connect(group, plan_of(ranks, floats), net::Milliseconds(10000), tuning);
    const std::uint64_t work = slow ? 1'000'000 : 20'000'000;
    const int count = std::max<int>(slow ? 1 : 5, static_cast<int>(std::min<std::uint64_t>(500, work / floats)));
    // Long enough that the kernel has put the ranks on cores of their own.
    sums(*end, std::max<int>(slow ? 1 : 3, static_cast<int>(std::min<std::uint64_t>(20'000, work / floats))));
    std::array<double, 5> runs{};
    const double before = processor_seconds();
    for (double& run : runs) run = sums(*end, count);
    const double used = (processor_seconds() - before) / (5.0 * count);
    std::sort(runs.begin(), runs.end());
    if (end->result()[floats - 1] != static_cast<float>(ranks)) fail(Exit::bug, "a wrong sum");
    const double bytes = 4.0 * static_cast<double>(floats);
    if (group.rank == 0) {
      std::printf("dl %s world=%u bytes=%9.0f median %10.1f us  busbw %9.2f MB/s  processor %10.1f us\n",
                  end->transport().c_str(), ranks, bytes,
                  runs[2] * 1e6, 2.0 * (ranks - 1) / ranks * bytes / runs[2] / 1e6, used * 1e6);
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, std::uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  const auto ranks = static_cast<std::uint32_t>(number(1, 2));
  comm::TcpTuning tuning;
  if (number(4, 0) > 0) tuning.piece_bytes = number(4, 0) * 1024;
  if (number(5, 0) > 0) tuning.one_round_bytes = number(5, 0) * 1024;
  const std::string hosts = argc > 6 ? argv[6] : "";
  // Each process tells its port to all others through a pipe of its own per reader.
  std::vector<std::array<int, 2>> pipes(ranks);
  for (auto& ends : pipes) {
    if (::pipe(ends.data()) != 0) return 1;
  }
  std::uint32_t rank = 0;
  for (std::uint32_t child = 1; child < ranks; ++child) {
    if (::fork() == 0) {
      rank = child;
      break;
    }
  }
  if (argc > 3 && std::string_view(argv[3]) == "pinned") pin(rank);
  flush_denormals();
  const std::string address = enter(hosts, rank);
  net::Loop loop;
  loop.start();
  const std::string_view how = argc > 2 ? argv[2] : "auto";
  const bool tcp = how.starts_with("tcp");
  if (how.starts_with("tcp:")) tuning.collective = comm::parse_collective(how.substr(4));
  comm::Mesh mesh(loop, {address, 0},
                  tcp ? comm::Transport::tcp : comm::Transport::automatic);
  const std::array<std::uint32_t, 2> own = {rank, mesh.port()};
  for (const auto& ends : pipes) {
    if (::write(ends[1], own.data(), sizeof own) != sizeof own) return 1;
  }
  comm::MeshGroup group{"bench", 0, rank, std::vector<net::Address>(ranks)};
  for (std::uint32_t i = 0; i < ranks; ++i) {
    std::array<std::uint32_t, 2> other{};
    if (::read(pipes[rank][0], other.data(), sizeof other) != sizeof other) return 1;
    const std::string there = hosts.empty() ? address : "10.79.0." + std::to_string(other[0] + 1);
    group.members[other[0]] = {there, static_cast<std::uint16_t>(other[1])};
  }
  measure(mesh, group, ranks, tuning, !hosts.empty());
  if (rank != 0) return 0;
  int failed = 0;
  for (std::uint32_t child = 1; child < ranks; ++child) {
    int status = 0;
    ::wait(&status);
    if (status != 0) failed = 1;
  }
  return failed;
}
