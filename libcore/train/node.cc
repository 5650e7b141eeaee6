// SPDX-License-Identifier: MIT
// Over 400 lines because it has a handler for each message of one conversation.
#include "train/node.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <csignal>
#include <deque>
#include <limits>
#include <optional>

#include "base/clock.h"
#include "base/workers.h"
#include "checkpoint/checkpoint.h"
#include "comm/mesh.h"
#include "coord/client.h"
#include "coord/fetch.h"
#include "linalg/arithmetic.h"
#include "net/key.h"
#include "train/cache.h"
#include "train/calibration.h"
#include "train/replica.h"
#include "train/state_layout.h"
#include "train/trainer.h"
#include "train/training_data.h"

#ifndef DL_VERSION
#define DL_VERSION "unknown"
#endif

namespace dl::train {

namespace {

constexpr double kFlushSeconds = 4;              // a leaving node's last words
constexpr std::int64_t kProgressNs = 100'000'000;
constexpr net::Milliseconds kMeshPatience{10'000};

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

std::shared_ptr<const net::Credentials> credentials_of(const NodeOptions& options) {
  if (options.insecure) return nullptr;
  if (options.tls.given()) return net::read_certificate(options.tls, true);
  return net::read_key(options.key, net::Milliseconds(static_cast<std::int64_t>(options.wait_seconds * 1e3)));
}

// Everything that follows from the run's configuration.
struct Work {
  Work(const RunConfig& c, const NodeOptions& options, DataSource source)
      : config(c),
        workers(options.threads),
        arithmetic(linalg::choose(options.kernel, c.arithmetic)),
        data(std::move(source), c.manifest_sha256, c.left_out()),
        replica(c, arithmetic, workers) {}

  RunConfig config;
  Workers workers;
  linalg::Arithmetic arithmetic;
  TrainingData data;
  Replica replica;
};

// A fetch ended before its file was whole: something else came that has to be done first.
struct Interrupted {};

class Node {
 public:
  Node(const NodeOptions& options, const Log& log)
      : options_(options), log_(log), credentials_(credentials_of(options)) {
    loop_.start([this](std::exception_ptr thrown) { broke(std::move(thrown)); });
    mesh_.emplace(loop_, net::Address{"", 0}, options.transport, guard());
    loop_.call([this] {
      signals_.emplace(loop_, std::initializer_list<int>{SIGTERM, SIGINT},
                       [this](int number) { arrived(number); });
      client_.emplace(loop_, settings());
    });
  }

  ~Node() {
    loop_.call([this] {  // nothing on the I/O thread may ask for the mesh when it goes
      signals_.reset();
      client_.reset();
    });
    mesh_.reset();
    loop_.stop();
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Serves one item after the other until one of them ends the node.
  int run() {
    for (;;) {
      if (signal_ != 0) return leave();
      const coord::Incoming item = next();
      const std::optional<int> code =
          std::visit([this](const auto& message) { return handle(message); }, item);
      if (code) return *code;
    }
  }

 private:
  // On the I/O thread. Strangers at the port are worth a line, many of them few.
  net::Guard guard() {
    return {credentials_, {}, [this](const std::string& who, const std::string& reason) {
              if (std::has_single_bit(++strangers_)) {
                log_.warning("{} is no node of this run: {} ({} such so far)", who, reason, strangers_);
              }
            }};
  }

  coord::ClientSettings settings() {
    coord::Hello hello;
    hello.protocol = coord::kProtocol;
    hello.version = "dl " DL_VERSION;
    hello.host = host_name();
    hello.pid = static_cast<std::uint64_t>(::getpid());
    hello.threads = options_.threads;
    hello.kernel = linalg::choose(options_.kernel, "defined").kernel_name();
    hello.mesh_port = mesh_->port();
    return {.coordinator = options_.coordinator,
            .credentials = credentials_,
            .credentials_name = options_.tls.given() ? "the certificate in " + options_.tls.certificate
                                                     : "the key in " + options_.key,
            .wait_seconds = options_.wait_seconds,
            .hello = hello,
            .progress = &progress_,
            .on_pause = [this](std::uint32_t generation) {
              // 0: the conversation is over, and so is every generation.
              mesh_->abort(generation - 1, generation == 0 ? "the coordinator is gone"
                                                           : "the group changes");
            }};
  }

  // On the I/O thread. A second signal finds the default action again, which ends the process.
  void arrived(int number) {
    signal_ = number;
    client_->mailbox().put(coord::Signal{});  // wakes a waiting training thread
    loop_.post([this] { signals_.reset(); });
  }

  // On the I/O thread: one of its callbacks failed, which none should. The training thread ends the node.
  void broke(std::exception_ptr thrown) try {
    if (client_) std::rethrow_exception(std::move(thrown));
  } catch (const std::exception& error) {
    const std::string reason = fmt::format("this is a bug: on the I/O thread: {}", error.what());
    mesh_->abort(std::numeric_limits<std::uint32_t>::max(), reason);
    client_->mailbox().put(coord::CoordinatorLost{Exit::bug, reason});
  }

  coord::Incoming next() {
    if (stash_.empty()) return client_->mailbox().take();
    coord::Incoming item = std::move(stash_.front());
    stash_.pop_front();
    return item;
  }

  int leave() {
    client_->send(coord::Goodbye{static_cast<std::uint32_t>(128 + signal_),
                                 fmt::format("left after signal {}", signal_.load())});
    client_->flush(kFlushSeconds);
    return 128 + signal_;
  }

  int refuse(const Error& error) {
    log_.error("{}", error.what());
    coord::Refuse last;
    last.code = static_cast<std::uint32_t>(error.code());
    last.text = decltype(last.text)::cut(error.what());
    client_->send(last);
    client_->flush(kFlushSeconds);
    return static_cast<int>(error.code());
  }

  // A coordinator that comes back finds the state that this node has.
  std::optional<int> handle(const coord::Welcome& welcome) try {
    if (work_ && run_id_ == welcome.run_id.str() && config_text_ == welcome.config.str()) return ready();
    run_id_ = welcome.run_id.str();
    config_text_ = welcome.config.str();
    const std::string what = "the coordinator's configuration";
    const RunConfig config = RunConfig::from_json(parse_json(welcome.config.str(), what), what);
    work_.emplace(config, options_, source(config));
    return ready();
  } catch (const Interrupted&) {
    return std::nullopt;
  } catch (const Error& error) {
    return refuse(error);
  }

  std::optional<int> ready() {
    client_->expect_state(work_->replica.state_size());
    coord::Ready ready;
    ready.manifest_sha256 = work_->config.manifest_sha256;
    ready.parameters = work_->replica.model().parameters().size();
    ready.arithmetic = work_->arithmetic.name();
    ready.speed = multiply_adds_per_second(work_->arithmetic, options_.threads);
    client_->send(ready);
    return std::nullopt;
  }

  std::optional<int> handle(const coord::Pause& pause) {
    client_->send(paused(pause.generation));
    return std::nullopt;
  }

  std::optional<int> handle(const coord::SendState&) {
    send_state(coord::StateReason::asked);
    return std::nullopt;
  }

  std::optional<int> handle(const coord::State& state) try {
    const std::string what = "the coordinator's cursor";
    const Cursor cursor = Cursor::from_json(parse_json(state.cursor, what), what);
    if (cursor.step != state.step) {
      fail(Exit::disagree, "a state of step {} came with a cursor at step {}", state.step, cursor.step);
    }
    work_->replica.load(cursor, state.values);
    return std::nullopt;
  } catch (const Error& error) {
    return refuse(error);
  }

  std::optional<int> handle(const coord::Load& load) try {
    work_->data.hold(load.shards.items());
    // What is damaged is found before the first step, not after the first epoch.
    // A node without shards of a pipeline works above the first stage: raw rows do not come to it.
    if (work_->config.mode != "pipeline" || !load.shards.empty()) {
      work_->data.test();
      work_->data.validation();
    }
    client_->send(coord::Loaded{load.generation});
    return std::nullopt;
  } catch (const Interrupted&) {
    return std::nullopt;  // the files that came whole are kept
  } catch (const Error& error) {
    return refuse(error);
  }

  std::optional<int> handle(const coord::FilePiece&) { return std::nullopt; }  // nobody waits for it

  std::optional<int> handle(const coord::Start& start) try {
    Group group{.generation = start.generation,
                .rank = start.rank,
                .size = static_cast<std::uint32_t>(start.members.size()),
                .owner = {start.owner.begin(), start.owner.end()},
                .stage_layers = {start.stages.begin(), start.stages.end()},
                .block_owner = {start.blocks.begin(), start.blocks.end()}};
    Replica& replica = work_->replica;
    if (start.step == 0 && !replica.has_state()) replica.begin_at_seed();
    if (!replica.has_state() || replica.step() != start.step) {
      fail(Exit::bug, "generation {} starts at step {}, this node stands at {}", start.generation,
           start.step, replica.has_state() ? static_cast<std::int64_t>(replica.step()) : -1);
    }
    work_->data.hold(group.shards_read());
    ++progress_;
    train(group, start);
    return std::nullopt;
  } catch (const comm::RoundAborted& aborted) {
    // The group is broken. The coordinator's Pause says so too, unless only we noticed.
    log_.debug("generation {}: {}", start.generation, aborted.what());
    if (held_apart(work_->config)) work_->replica.fall_back();
    if (stash_.empty()) {
      coord::Paused message = paused(start.generation);
      message.reason = decltype(message.reason)::cut(aborted.what());
      for (const std::uint32_t rank : aborted.unmet) message.unmet.push_back(rank);
      client_->send(message);
    }
    return std::nullopt;
  } catch (const Error& error) {
    return refuse(error);
  }

  std::optional<int> handle(const coord::Signal&) { return std::nullopt; }  // no round is open

  std::optional<int> handle(const coord::Refuse& refusal) {
    log_.error("the coordinator refused this node: {}", refusal.text.str());
    return static_cast<int>(refusal.code);
  }

  std::optional<int> handle(const coord::Goodbye& goodbye) {
    if (goodbye.code != 0) log_.info("the coordinator says goodbye: {}", goodbye.text.str());
    return static_cast<int>(goodbye.code);
  }

  std::optional<int> handle(const coord::CoordinatorLost& lost) {
    if (!lost.broken || run_id_.empty()) {
      log_.error("{}", lost.reason);
      return static_cast<int>(lost.code);
    }
    // The coordinator may be lost with what it was told of this state's past, and so with its log.
    if (work_ && work_->config.mode == "async") work_->replica.forget();
    log_.warning("{}: waiting for it, at step {}", lost.reason, paused(0).step);
    stash_.clear();
    loop_.call([this] {
      client_.reset();
      client_.emplace(loop_, settings());
    });
    return std::nullopt;
  }

  DataSource source(const RunConfig& config) {
    DataSource source;
    source.demanded = !options_.data.empty();
    if (!options_.fetch) source.directory = source.demanded ? options_.data : config.data;
    source.fetch = [this](const std::string& name, const std::string& sha256, std::uint64_t most) {
      return fetch(name, sha256, most);
    };
    source.opened = [this] { ++progress_; };
    return source;
  }

  fs::path fetch(const std::string& name, const std::string& sha256, std::uint64_t most) {
    const Cache cache(options_.cache.empty() ? usual_cache() : fs::path(options_.cache));
    if (const auto found = cache.find(sha256, most)) return *found;
    if (!stash_.empty()) throw Interrupted();
    const std::int64_t begin = monotonic_ns();
    coord::FetchedFile file(name, sha256, most);
    AtomicFile kept = cache.begin(sha256);
    while (!file.whole()) {
      for (const coord::Fetch& wish : file.wishes()) client_->send(wish);
      const coord::FilePiece piece = next_piece();
      file.take(piece);
      kept.write(piece.bytes);
    }
    kept.commit();
    log_.info("{}: fetched from the coordinator in {:.1f} s, kept as {}", name,
              seconds_between(begin, monotonic_ns()), kept.target().string());
    return kept.target();
  }

  // A Pause waits until the file is whole, the end of the conversation does not.
  coord::FilePiece next_piece() {
    for (;;) {
      coord::Incoming item = client_->mailbox().take();
      if (auto* piece = std::get_if<coord::FilePiece>(&item)) return std::move(*piece);
      const bool over = std::holds_alternative<coord::Refuse>(item) ||
                        std::holds_alternative<coord::Goodbye>(item) ||
                        std::holds_alternative<coord::CoordinatorLost>(item);
      stash_.push_back(std::move(item));
      if (over || signal_ != 0) throw Interrupted();
    }
  }

  coord::Paused paused(std::uint32_t generation) const {
    coord::Paused message;
    message.generation = generation;
    message.step = work_ && work_->replica.has_state()
                       ? static_cast<std::int64_t>(work_->replica.step())
                       : -1;
    return message;
  }

  void send_state(coord::StateReason reason) {
    client_->send_state({.step = work_->replica.step(),
                         .reason = reason,
                         .cursor = dump_line(work_->replica.cursor().to_json()),
                         .values = work_->replica.state()});
  }

  // Control bits for the next step's record. What cannot wait for the end of the step ends the round.
  std::uint32_t wanted_bits() {
    std::uint32_t bits = 0;
    while (std::optional<coord::Incoming> item = client_->mailbox().try_take()) {
      if (const auto* asked = std::get_if<coord::Signal>(&*item)) {
        bits |= asked->bits;
      } else {
        stash_.push_back(std::move(*item));
        throw comm::RoundAborted("the coordinator wants something else");
      }
    }
    if (signal_ != 0) bits |= coord::Signal::kPause | coord::Signal::kCheckpoint;
    return bits;
  }

  void train(const Group& group, const coord::Start& start) {
    std::int64_t said = 0;
    const Hooks hooks{
        .wanted_bits = [this] { return wanted_bits(); },
        .progress =
            [&, before = newest_](const coord::Progress& message) {
              ++progress_;
              newest_ = message;
              newest_.busy_seconds += before.busy_seconds;
              newest_.wait_seconds += before.wait_seconds;
              newest_.communicate_seconds += before.communicate_seconds;
              const std::int64_t now = monotonic_ns();
              if (now - said < kProgressNs) return;
              said = now;
              client_->send(newest_);
            },
        .pace = [this](const coord::Pace& pace) { client_->send(pace); },
        .report = [this](const Json& line) { client_->send(coord::Report{dump_line(line)}); },
        .save = [this](coord::StateReason reason) { send_state(reason); },
        .at_work = [this] { ++progress_; },
        .updates =
            [&](std::uint64_t first, std::uint64_t last, const Bytes& record) {
              const std::string_view text(reinterpret_cast<const char*>(record.data()), record.size());
              client_->send(coord::Updates{group.generation, first, last, text});
            }};
    const auto connect = [&](const comm::SumPlan& plan) {
      comm::MeshGroup members{
          .run_id = run_id_, .generation = group.generation, .rank = group.rank, .members = {}};
      for (const coord::Member& m : start.members) members.members.push_back({m.host.str(), m.port});
      if (credentials_) credentials_->check();  // rather this line than peers that wait for us
      comm::TcpTuning tuning;
      tuning.collective = comm::parse_collective(work_->config.collective);
      auto end = mesh_->connect(members, plan, kMeshPatience, tuning);
      log_.debug("generation {}: rank {} of {}, {}", group.generation, group.rank, group.size,
                 end->transport());
      return end;
    };
    Trainer trainer(work_->config, work_->replica, work_->data, group, connect, hooks);
    if (trainer.run() == Ending::paused) {
      client_->send(paused(group.generation));
      return;
    }
    if (newest_.step > 0) client_->send(newest_);
    coord::Done done;
    done.step = work_->replica.step();
    done.params_sha256 = checkpoint::params_sha256(work_->replica.model().parameters());
    if (group.rank == 0) {
      send_state(coord::StateReason::final_state);
      done.summary = dump_line(trainer.summary());
    }
    client_->send(done);
  }

  const NodeOptions& options_;
  const Log& log_;
  const std::shared_ptr<const net::Credentials> credentials_;
  std::uint64_t strangers_ = 0;  // the I/O thread's
  std::atomic<std::uint64_t> progress_{0};
  std::atomic<int> signal_{0};
  std::deque<coord::Incoming> stash_;  // came while training, in order
  coord::Progress newest_;             // the times are of all groups so far
  std::string run_id_, config_text_;
  std::optional<Work> work_;
  net::Loop loop_;
  std::optional<comm::Mesh> mesh_;
  std::optional<net::Signals> signals_;
  std::optional<coord::Client> client_;
};

}  // namespace

int run_node(const NodeOptions& options, const Log& log) {
  flush_denormals();
  Node node(options, log);
  return node.run();
}

}  // namespace dl::train
