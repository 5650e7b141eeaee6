// SPDX-License-Identifier: MIT
#include "fake_node.h"

#include <unistd.h>

#include "base/json.h"

namespace dl::test {

using namespace coord;

std::vector<float> fake_state(std::uint64_t step) {
  std::vector<float> values(kFakeFloats);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(step) + static_cast<float>(i % 1000) / 1024.0F;
  }
  return values;
}

std::optional<std::uint32_t> FakeMesh::meet(std::uint32_t generation, std::uint32_t ranks,
                                            std::uint64_t step, std::uint32_t bits,
                                            const std::atomic<bool>& dead) {
  std::unique_lock lock(mutex_);
  const auto key = std::make_pair(generation, step);
  rounds_[key].bits |= bits;
  ++rounds_[key].came;
  changed_.notify_all();
  changed_.wait(lock, [&] {
    return dead || generation < oldest_ || (rounds_[key].came == ranks && step <= gate_);
  });
  if (dead || generation < oldest_) return std::nullopt;
  return rounds_[key].bits;
}

void FakeMesh::abort_before(std::uint32_t generation) {
  const std::lock_guard lock(mutex_);
  oldest_ = std::max(oldest_, generation);
  changed_.notify_all();
}

void FakeMesh::wake() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void FakeMesh::gate(std::uint64_t step) {
  const std::lock_guard lock(mutex_);
  gate_ = step;
  changed_.notify_all();
}

FakeNode::FakeNode(FakeMesh& mesh, FakeOptions options) : mesh_(mesh), options_(std::move(options)) {
  ClientSettings settings;
  settings.coordinator = options_.address;
  settings.wait_seconds = options_.wait_seconds;
  settings.hello = Hello{.protocol = kProtocol,
                         .version = options_.version,
                         .host = "fake",
                         .pid = static_cast<std::uint64_t>(::getpid()),
                         .threads = 1,
                         .kernel = "none",
                         .mesh_port = 1};
  settings.progress = &progress_;
  settings.on_pause = [this](std::uint32_t generation) {
    if (generation > 0) mesh_.abort_before(generation);
  };
  client_ = std::make_unique<Client>(loop_, settings);
  loop_.start();
  thread_ = std::thread([this] { code_ = live(); });
}

FakeNode::~FakeNode() {
  if (thread_.joinable()) join();
  loop_.stop();
}

void FakeNode::die() {
  dead_ = true;
  client_->mailbox().put(CoordinatorLost{Exit::again, "died"});
  mesh_.wake();
  join();
  loop_.stop();
  client_.reset();
}

int FakeNode::join() {
  if (thread_.joinable()) thread_.join();
  return code_;
}

int FakeNode::live() {
  for (;;) {
    if (dead_) return static_cast<int>(Exit::again);
    Incoming item = stashed_ ? *std::exchange(stashed_, std::nullopt) : client_->mailbox().take();
    if (const auto code = take(std::move(item))) return *code;
  }
}

std::optional<int> FakeNode::take(Incoming item) {
  if (std::holds_alternative<Welcome>(item)) {
    if (!options_.refuse_with.empty()) {
      client_->send(Refuse{65, options_.refuse_with});
      client_->flush(5);
      return 65;
    }
    client_->expect_state(kFakeFloats);
    client_->send(Ready{options_.manifest, 10, "defined", 1e9});
  } else if (const auto* pause = std::get_if<Pause>(&item)) {
    client_->send(Paused{pause->generation, step_});
  } else if (const auto* load = std::get_if<Load>(&item)) {
    client_->send(Loaded{load->generation});
  } else if (std::holds_alternative<SendState>(item)) {
    send_state(StateReason::asked);
  } else if (auto* state = std::get_if<State>(&item)) {
    step_ = static_cast<std::int64_t>(state->step);
    state_ = std::move(state->values);
  } else if (const auto* start = std::get_if<Start>(&item)) {
    if (start->step == 0 && step_ < 0) {
      step_ = 0;
      state_ = fake_state(0);
    }
    if (step_ != static_cast<std::int64_t>(start->step) || state_ != fake_state(start->step)) {
      last_word_ = "started with another state";
      client_->send(Refuse{70, last_word_});
      client_->flush(5);
      return 70;
    }
    train(*start);
  } else if (const auto* refuse = std::get_if<Refuse>(&item)) {
    last_word_ = refuse->text.str();
    return static_cast<int>(refuse->code);
  } else if (const auto* goodbye = std::get_if<Goodbye>(&item)) {
    last_word_ = goodbye->text.str();
    return static_cast<int>(goodbye->code);
  } else if (const auto* lost = std::get_if<CoordinatorLost>(&item)) {
    last_word_ = lost->reason;
    return static_cast<int>(lost->code);
  }
  return std::nullopt;
}

void FakeNode::train(const Start& start) {
  const auto ranks = static_cast<std::uint32_t>(start.members.size());
  while (static_cast<std::uint64_t>(step_) < options_.last_step) {
    if (dead_) return;
    std::uint32_t bits = 0;
    while (auto item = client_->mailbox().try_take()) {
      if (const auto* signal = std::get_if<Signal>(&*item)) {
        bits |= signal->bits;
      } else {
        stashed_ = std::move(item);
        return;
      }
    }
    const auto next = static_cast<std::uint64_t>(step_) + 1;
    const auto agreed = mesh_.meet(start.generation, ranks, next, bits, dead_);
    if (!agreed) return;  // the Pause is in the mailbox
    ++step_;
    ++progress_;
    state_ = fake_state(next);
    client_->send(Progress{next, 0.5, next * 10, 0, 0, 0, 0});
    if (start.rank == 0) {
      if (next == 1) client_->send(Report{R"({"event":"first_step"})"});
      const bool asked = (*agreed & Signal::kCheckpoint) != 0;
      if ((asked || next % options_.checkpoint_every == 0) && next < options_.last_step) {
        send_state(StateReason::checkpoint);
      }
    }
    if ((*agreed & Signal::kPause) != 0 && next < options_.last_step) {
      client_->send(Paused{start.generation, step_});
      return;
    }
  }
  say_done(start);
}

void FakeNode::say_done(const Start& start) {
  if (start.rank == 0) send_state(StateReason::final_state);
  const Json summary{{"epochs", 1},   {"steps", step_},           {"samples", step_ * 10},
                     {"seconds", 1.5}, {"samples_per_second", 3.0}, {"train_loss", 0.5}};
  client_->send(Done{static_cast<std::uint64_t>(step_), "digest",
                     start.rank == 0 ? dump_line(summary) : std::string()});
}

void FakeNode::send_state(StateReason reason) {
  client_->send_state({static_cast<std::uint64_t>(step_), reason,
                       dump_line(Json{{"step", static_cast<std::uint64_t>(step_)}}), state_});
}

}  // namespace dl::test
