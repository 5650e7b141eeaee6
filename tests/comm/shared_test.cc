// SPDX-License-Identifier: MIT
// Memory that processes share: who gets in, what stays behind, and what a stopped peer can still do.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "comm/host.h"
#include "comm/segment.h"
#include "small.h"

using namespace dl;
using comm::Segment;
using test::kLong;
using test::Problem;
using test::small;

namespace {

// A rank that is a process of its own. Its mesh does what `work` says; it never returns.
class Process {
 public:
  // Called before this process has any other thread.
  explicit Process(const std::function<void(int from, int to)>& work) {
    std::array<int, 2> in{}, out{};
    REQUIRE(::pipe(in.data()) == 0);
    REQUIRE(::pipe(out.data()) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(in[1]);
      ::close(out[0]);
      try {
        work(in[0], out[1]);
      } catch (const std::exception&) {
        ::_exit(3);
      }
      ::_exit(0);
    }
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = out[0];
  }
  ~Process() {
    ::kill(pid_, SIGKILL);
    ::kill(pid_, SIGCONT);
    ::waitpid(pid_, nullptr, 0);
    ::close(to_);
    ::close(from_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  void wait_stopped() const {
    int status = 0;
    ::waitpid(pid_, &status, WUNTRACED);
    REQUIRE(WIFSTOPPED(status));
  }
  int to() const { return to_; }
  int from() const { return from_; }

 private:
  pid_t pid_ = 0;
  int to_ = -1, from_ = -1;
};

void tell(int to, std::uint16_t number) {
  if (::write(to, &number, sizeof number) != sizeof number) throw std::runtime_error("write");
}

std::uint16_t hear(int from) {
  std::uint16_t number = 0;
  if (::read(from, &number, sizeof number) != sizeof number) throw std::runtime_error("read");
  return number;
}

// Rank 1 of two, in a process of its own: takes part in so many rounds, says when a round is done,
// and then is there without doing anything.
void second_rank(const Problem& problem, std::uint32_t rounds, int from, int to) {
  net::Loop loop;
  loop.start();
  comm::Mesh mesh(loop, {"127.0.0.1", 0});
  tell(to, mesh.port());
  const comm::MeshGroup group{
      "run", 1, 1, {{"127.0.0.1", hear(from)}, {"127.0.0.1", mesh.port()}}};
  const auto end = mesh.connect(group, problem.plan(), kLong);
  for (std::uint32_t round = 0; round < rounds; ++round) {
    test::whole_round(*end, problem, round);
    tell(to, 0);
  }
  for (;;) ::pause();
}

struct First {
  First(const Process& second, const Problem& problem) {
    loop.start();
    mesh.emplace(loop, net::Address{"127.0.0.1", 0});
    const std::uint16_t port = hear(second.from());
    tell(second.to(), mesh->port());
    const comm::MeshGroup group{
        "run", 1, 0, {{"127.0.0.1", mesh->port()}, {"127.0.0.1", port}}};
    end = mesh->connect(group, problem.plan(), kLong);
  }

  net::Loop loop;
  std::optional<comm::Mesh> mesh;
  std::unique_ptr<comm::Communicator> end;
};

std::string failure(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool mapped_somewhere() {
  std::FILE* const maps = std::fopen("/proc/self/maps", "r");
  std::array<char, 512> line{};
  bool found = false;
  while (std::fgets(line.data(), line.size(), maps) != nullptr) {
    found = found || std::strstr(line.data(), "/memfd:dl-") != nullptr;
  }
  std::fclose(maps);
  return found;
}

}  // namespace

TEST_CASE("shared: processes end with the bits of the serial sum") {
  const Problem problem = small(2);
  const Process second([&](int from, int to) { second_rank(problem, 20, from, to); });
  First first(second, problem);
  CHECK(first.end->transport() == "shared memory and unix");
  for (std::uint32_t round = 0; round < 20; ++round) {
    test::whole_round(*first.end, problem, round);
    CHECK(std::ranges::equal(first.end->result(), problem.total(round)));
    hear(second.from());
  }
}

TEST_CASE("shared: a killed process ends the round at once, and no memory stays") {
  const Problem problem = small(2);
  const Process second([&](int from, int to) { second_rank(problem, 1, from, to); });
  {
    First first(second, problem);
    test::whole_round(*first.end, problem, 0);
    hear(second.from());
    CHECK(mapped_somewhere());
    const std::int64_t begin = monotonic_ns();
    second.signal(SIGKILL);
    CHECK_THROWS_AS(test::whole_round(*first.end, problem, 1), comm::RoundAborted);
    CHECK(seconds_between(begin, monotonic_ns()) < 1);
  }
  CHECK_FALSE(mapped_somewhere());
}

TEST_CASE("shared: abort ends a round with a stopped process at once") {
  const Problem problem = small(2);
  const Process second([&](int from, int to) { second_rank(problem, 2, from, to); });
  First first(second, problem);
  test::whole_round(*first.end, problem, 0);
  hear(second.from());
  second.signal(SIGSTOP);
  second.wait_stopped();
  std::atomic<std::int64_t> said = 0;
  std::thread other([&] {
    said = monotonic_ns();
    first.mesh->abort(1, "it does not answer");
  });
  // Two rounds: the process may have begun the next one before it was stopped.
  CHECK_THROWS_WITH_AS(
      {
        test::whole_round(*first.end, problem, 1);
        first.end->start(0);
        first.end->wait(0);
      },
      "it does not answer", comm::RoundAborted);
  other.join();
  CHECK(seconds_between(said, monotonic_ns()) < 0.5);
}

TEST_CASE("shared: who wakes up late writes into the memory of its own generation") {
  const Problem problem = small(2);
  test::Nodes nodes(2, comm::Transport::automatic);
  const auto connect = [&](std::uint32_t generation) {
    std::array<std::unique_ptr<comm::Communicator>, 2> ends;
    test::as_threads(2, [&](std::uint32_t rank) {
      ends[rank] =
          nodes.meshes[rank]->connect(nodes.group(rank, generation), problem.plan(), kLong);
    });
    return ends;
  };
  auto late = connect(1);
  nodes.meshes[0]->abort(1, "over");
  nodes.loops[0]->call([] {});
  late[0].reset();
  auto now = connect(2);
  REQUIRE(now[1]->transport() == "shared memory and unix");
  std::ranges::fill(late[1]->part(0), 1e30F);
  late[1]->post(Bytes(problem.record_bytes, std::byte{0xff}));
  const auto thrown = test::as_threads(2, [&](std::uint32_t rank) {
    test::whole_round(*now[rank], problem, 0);
  });
  CHECK(thrown[0] == "");
  CHECK(thrown[1] == "");
  for (const auto& end : now) CHECK(std::ranges::equal(end->result(), problem.total(0)));
}

TEST_CASE("shared: what a lost peer gave counts when it left in order, and not when it died") {
  Problem problem = small(2);
  problem.buckets = {{0, 100}};  // one chunk, of the last rank's slice
  const comm::SharedLayout layout(problem.plan());
  for (const bool in_order : {true, false}) {
    const auto memory = std::make_shared<comm::Memory>(layout.bytes());
    const auto alarm = std::make_shared<comm::Alarm>();
    comm::SharedSums stays(problem.plan(), 0, memory, alarm);
    std::optional<comm::SharedSums> goes;
    goes.emplace(problem.plan(), 1, memory, std::make_shared<comm::Alarm>());
    stays.start(0);
    goes->start(0);
    if (in_order) {
      goes.reset();
      alarm->lose(1, "rank 1: closed");
      stays.wait(0);
      stays.start(0);
    } else {  // the only chunk is taken, and will not be added
      *reinterpret_cast<std::uint64_t*>(memory->bytes().data() + layout.taken(0, 1)) = 1;
      alarm->lose(1, "rank 1: closed");
    }
    CHECK_THROWS_WITH_AS(stays.wait(0), "rank 1: closed", comm::RoundAborted);
  }
}

TEST_CASE("shared: a rank with few shards adds no more than twice its slice") {
  comm::SumPlan plan;
  plan.shards = 8;
  plan.parts_of_rank = {{{0, 4}, {4, 6}, {6, 7}}, {{7, 8}}};
  plan.buckets = {{0, 64 * 8192}};
  const comm::SharedLayout layout(plan);
  const auto memory = std::make_shared<comm::Memory>(layout.bytes());
  const auto alarm = std::make_shared<comm::Alarm>();
  comm::SharedSums many(plan, 0, memory, std::make_shared<comm::Alarm>());
  comm::SharedSums few(plan, 1, memory, alarm);
  const std::atomic_ref added(*reinterpret_cast<std::uint64_t*>(memory->bytes().data() + layout.added(0)));
  constexpr std::uint64_t chunks = 64;
  many.start(0);
  few.start(0);
  std::thread waits([&] { CHECK_THROWS_AS(few.wait(0), comm::RoundAborted); });
  while (added.load() < 2 * chunks / 8) std::this_thread::yield();
  alarm->abort("enough");
  waits.join();
  CHECK(added.load() == 2 * chunks / 8);
  many.wait(0);
  CHECK(added.load() == chunks);
}

TEST_CASE("shared: whatever lies in the counters, a rank stays within its memory") {
  const Problem problem = small(2);
  Rng rng(1, Purpose::test, 7);
  for (int turn = 0; turn < 200; ++turn) {
    const comm::SharedLayout layout(problem.plan());
    const auto memory = std::make_shared<comm::Memory>(layout.bytes());
    const auto alarm = std::make_shared<comm::Alarm>();
    const std::span<std::byte> control = memory->bytes().first(layout.records(0));
    for (int i = 0; i < 20; ++i) control[rng.below(control.size())] = std::byte(rng.below(256));
    comm::SharedSums sums(problem.plan(), 0, memory, alarm);
    std::thread scribbler([&] {
      for (std::uint64_t i = 0; i < 2000; ++i) {
        auto& word = reinterpret_cast<std::uint64_t*>(control.data())[i * 31 % (control.size() / 8)];
        std::atomic_ref(word).store(i * 0x9e3779b97f4a7c15U);
      }
      alarm->abort("enough");
    });
    try {
      for (;;) {
        sums.post(Bytes(problem.record_bytes));
        sums.start(0);
        sums.start(1);
        sums.wait(0);
        sums.wait(1);
        sums.collect();
      }
    } catch (const comm::RoundAborted& aborted) {
      CHECK(std::string(aborted.what()) == "enough");
    }
    scribbler.join();
  }
}

TEST_CASE("segment: the other side sees the same bytes, and neither can change its size") {
  const Segment made = Segment::make(10000);
  const Segment opened = Segment::open(made.offer(), 10000);
  CHECK(made.memory()->bytes().size() == 10000);
  CHECK(opened.memory()->bytes().data() != made.memory()->bytes().data());
  made.memory()->bytes()[9999] = std::byte{7};
  CHECK(opened.memory()->bytes()[9999] == std::byte{7});
  CHECK(::ftruncate(static_cast<int>(made.offer().descriptor), 0) != 0);
}

TEST_CASE("segment: what is not as offered is refused") {
  const Segment made = Segment::make(10000);
  const comm::Offer offer = made.offer();
  const std::string path = fmt::format("/proc/{}/fd/{}", offer.process, offer.descriptor);
  CHECK(failure([&] { Segment::open(offer, 10001); }) ==
        path + ": a segment of 10000 bytes where 10001 belong, of another user or not sealed");
  comm::Offer other = offer;
  other.token[2] ^= 1;
  CHECK(failure([&] { Segment::open(other, 10000); }) == path + ": is not the segment that was offered");
  other = offer;
  other.descriptor = 0;
  CHECK(failure([&] { Segment::open(other, 10000); }) != "");
  other = offer;
  other.process = 0;
  CHECK(failure([&] { Segment::open(other, 10000); }) ==
        fmt::format("/proc/0/fd/{}: No such file or directory", offer.descriptor));
  // The right name alone is not enough.
  const std::string name =
      fmt::format("dl-{:016x}{:016x}{:016x}", offer.token[0], offer.token[1], offer.token[2]);
  const int unsealed = ::memfd_create(name.c_str(), MFD_CLOEXEC);
  REQUIRE(::ftruncate(unsealed, 10000) == 0);
  other.process = offer.process;
  other.descriptor = static_cast<std::uint64_t>(unsealed);
  CHECK(failure([&] { Segment::open(other, 10000); }) != "");
  ::close(unsealed);
}

TEST_CASE("mesh: where no segment can be made, the group goes on over Unix sockets and says why") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit low{1000, before.rlim_max};
  const Problem problem = small(3);
  test::Nodes nodes(3, comm::Transport::automatic);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &low) == 0);
  std::array<std::string, 3> transport;
  const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
    const auto end = nodes.meshes[rank]->connect(nodes.group(rank), problem.plan(), kLong);
    transport[rank] = end->transport();
    test::whole_round(*end, problem, 0);
    if (!std::ranges::equal(end->result(), problem.total(0))) throw std::runtime_error("other bits");
  });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    CHECK(thrown[rank] == "");
    CHECK(transport[rank].find("unix, since shared memory failed (rank 0: ") == 0);
  }
}

TEST_CASE("mesh: one rank that wants TCP is enough for sums without shared memory") {
  const Problem problem = small(3);
  test::Nodes nodes(2, comm::Transport::automatic);
  nodes.add(comm::Transport::tcp);
  std::array<std::string, 3> transport;
  const auto thrown = test::as_threads(3, [&](std::uint32_t rank) {
    const auto end = nodes.meshes[rank]->connect(nodes.group(rank), problem.plan(), kLong);
    transport[rank] = end->transport();
    test::whole_round(*end, problem, 0);
    if (!std::ranges::equal(end->result(), problem.total(0))) throw std::runtime_error("other bits");
  });
  for (const std::string& what : thrown) CHECK(what == "");
  CHECK(transport == std::array<std::string, 3>{"unix and tcp", "unix and tcp", "tcp"});
}

TEST_CASE("host: the same for every process here, another one in another run") {
  const std::string own = comm::host_identity("run");
  CHECK(own.size() == 32);
  CHECK(comm::host_identity("run") == own);
  CHECK(comm::host_identity("another") != own);
  CHECK(comm::host_identity("run", "elsewhere") != own);
}
