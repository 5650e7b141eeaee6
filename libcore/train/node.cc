// SPDX-License-Identifier: MIT
#include "train/node.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/clock.h"
#include "base/workers.h"
#include "checkpoint/checkpoint.h"
#include "coord/fetch.h"
#include "linalg/arithmetic.h"
#include "train/cache.h"
#include "train/calibration.h"
#include "train/conversation.h"
#include "train/replica.h"
#include "train/state_layout.h"
#include "train/trainer.h"
#include "train/training_data.h"

namespace dl::train {

namespace {

constexpr std::int64_t kProgressNs = 100'000'000;
constexpr net::Milliseconds kMeshPatience{10'000};

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

class Node {
 public:
  Node(const NodeOptions& options, const Log& log) : options_(options), log_(log), talk_(options, log) {}

  // Serves one item after the other until one of them ends the node.
  int run() {
    for (;;) {
      if (talk_.signal() != 0) return talk_.leave();
      const coord::Incoming item = talk_.next();
      const std::optional<int> code =
          std::visit([this](const auto& message) { return handle(message); }, item);
      if (code) return *code;
    }
  }

 private:
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
    return talk_.refuse(error);
  }

  std::optional<int> ready() {
    talk_.client().expect_state(work_->replica.state_size());
    coord::Ready ready;
    ready.manifest_sha256 = work_->config.manifest_sha256;
    ready.parameters = work_->replica.model().parameters().size();
    ready.arithmetic = work_->arithmetic.name();
    ready.speed = multiply_adds_per_second(work_->arithmetic, options_.threads);
    talk_.client().send(ready);
    return std::nullopt;
  }

  std::optional<int> handle(const coord::Pause& pause) {
    talk_.client().send(paused(pause.generation));
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
    return talk_.refuse(error);
  }

  std::optional<int> handle(const coord::Load& load) try {
    work_->data.hold(load.shards.items());
    // What is damaged is found before the first step, not after the first epoch.
    // A node without shards of a pipeline works above the first stage: raw rows do not come to it.
    if (work_->config.mode != "pipeline" || !load.shards.empty()) {
      work_->data.test();
      work_->data.validation();
    }
    talk_.client().send(coord::Loaded{load.generation});
    return std::nullopt;
  } catch (const Interrupted&) {
    return std::nullopt;  // the files that came whole are kept
  } catch (const Error& error) {
    return talk_.refuse(error);
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
    talk_.stir();
    train(group, start);
    return std::nullopt;
  } catch (const comm::RoundAborted& aborted) {
    // The group is broken. The coordinator's Pause says so too, unless only we noticed.
    log_.debug("generation {}: {}", start.generation, aborted.what());
    if (held_apart(work_->config)) work_->replica.fall_back();
    if (!talk_.has_more()) {
      coord::Paused message = paused(start.generation);
      message.reason = decltype(message.reason)::cut(aborted.what());
      for (const std::uint32_t rank : aborted.unmet) message.unmet.push_back(rank);
      talk_.client().send(message);
    }
    return std::nullopt;
  } catch (const Error& error) {
    return talk_.refuse(error);
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
    talk_.begin_again();
    return std::nullopt;
  }

  DataSource source(const RunConfig& config) {
    DataSource source;
    source.demanded = !options_.data.empty();
    if (!options_.fetch) source.directory = source.demanded ? options_.data : config.data;
    source.fetch = [this](const std::string& name, const std::string& sha256, std::uint64_t most) {
      return fetch(name, sha256, most);
    };
    source.opened = [this] { talk_.stir(); };
    return source;
  }

  fs::path fetch(const std::string& name, const std::string& sha256, std::uint64_t most) {
    const Cache cache(options_.cache.empty() ? usual_cache() : fs::path(options_.cache));
    if (const auto found = cache.find(sha256, most)) return *found;
    if (talk_.has_more()) throw Interrupted();
    const std::int64_t begin = monotonic_ns();
    coord::FetchedFile file(name, sha256, most);
    AtomicFile kept = cache.begin(sha256);
    while (!file.whole()) {
      for (const coord::Fetch& wish : file.wishes()) talk_.client().send(wish);
      const coord::FilePiece piece = talk_.next_piece();
      file.take(piece);
      kept.write(piece.bytes);
    }
    kept.commit();
    log_.info("{}: fetched from the coordinator in {:.1f} s, kept as {}", name,
              seconds_between(begin, monotonic_ns()), kept.target().string());
    return kept.target();
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
    talk_.client().send_state({.step = work_->replica.step(),
                         .reason = reason,
                         .cursor = dump_line(work_->replica.cursor().to_json()),
                         .values = work_->replica.state()});
  }

  void train(const Group& group, const coord::Start& start) {
    std::int64_t said = 0;
    const Hooks hooks{
        .wanted_bits = [this] { return talk_.wanted_bits(); },
        .progress =
            [&, before = newest_](const coord::Progress& message) {
              talk_.stir();
              newest_ = message;
              newest_.busy_seconds += before.busy_seconds;
              newest_.wait_seconds += before.wait_seconds;
              newest_.communicate_seconds += before.communicate_seconds;
              const std::int64_t now = monotonic_ns();
              if (now - said < kProgressNs) return;
              said = now;
              talk_.client().send(newest_);
            },
        .pace = [this](const coord::Pace& pace) { talk_.client().send(pace); },
        .report = [this](const Json& line) { talk_.client().send(coord::Report{dump_line(line)}); },
        .save = [this](coord::StateReason reason) { send_state(reason); },
        .at_work = [this] { talk_.stir(); },
        .updates =
            [&](std::uint64_t first, std::uint64_t last, const Bytes& record) {
              const std::string_view text(reinterpret_cast<const char*>(record.data()), record.size());
              talk_.client().send(coord::Updates{group.generation, first, last, text});
            }};
    const auto connect = [&](const comm::SumPlan& plan) {
      comm::MeshGroup members{
          .run_id = run_id_, .generation = group.generation, .rank = group.rank, .members = {}};
      for (const coord::Member& m : start.members) members.members.push_back({m.host.str(), m.port});
      talk_.check_credentials();  // rather this line than peers that wait for us
      comm::TcpTuning tuning;
      tuning.collective = comm::parse_collective(work_->config.collective);
      auto end = talk_.mesh().connect(members, plan, kMeshPatience, tuning);
      log_.debug("generation {}: rank {} of {}, {}", group.generation, group.rank, group.size,
                 end->transport());
      return end;
    };
    Trainer trainer(work_->config, work_->replica, work_->data, group, connect, hooks);
    if (trainer.run() == Ending::paused) {
      talk_.client().send(paused(group.generation));
      return;
    }
    if (newest_.step > 0) talk_.client().send(newest_);
    coord::Done done;
    done.step = work_->replica.step();
    done.params_sha256 = checkpoint::params_sha256(work_->replica.model().parameters());
    if (group.rank == 0) {
      send_state(coord::StateReason::final_state);
      done.summary = dump_line(trainer.summary());
    }
    talk_.client().send(done);
  }

  const NodeOptions& options_;
  const Log& log_;
  Conversation talk_;
  coord::Progress newest_;  // the times are of all groups so far
  std::string run_id_, config_text_;
  std::optional<Work> work_;
};

}  // namespace

int run_node(const NodeOptions& options, const Log& log) {
  flush_denormals();
  Node node(options, log);
  return node.run();
}

}  // namespace dl::train
