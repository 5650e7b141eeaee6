// SPDX-License-Identifier: MIT
#include "net/loop.h"

#include <future>

#include "net/asio.h"

namespace dl::net {

namespace {

// The caller's thread is the loop's, as long as this lives.
class Running {
 public:
  explicit Running(Loop::Core& core) : core_(core), work_(asio::make_work_guard(core.io)) {
    core_.runner = std::this_thread::get_id();
    core_.running = true;
  }
  ~Running() {
    core_.runner = std::thread::id();
    core_.running = false;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Loop::Core& core_;
  const asio::executor_work_guard<asio::io_context::executor_type> work_;
};

}  // namespace

Loop::Loop() : core_(std::make_unique<Core>()) {}

Loop::~Loop() { stop(); }

void Loop::start(std::function<void(std::exception_ptr)> failed) {
  // Known to run before the thread exists, so that nobody takes the loop for idle meanwhile.
  core_->running = true;
  core_->thread = std::thread([this, failed = std::move(failed)] {
    const Running running(*core_);
    for (;;) {
      try {
        core_->io.run();
        return;
      } catch (...) {
        if (!failed) throw;
        failed(std::current_exception());
      }
    }
  });
}

void Loop::run() {
  const Running running(*core_);
  core_->io.run();
}

void Loop::stop() {
  core_->io.stop();
  if (core_->thread.joinable() && core_->thread.get_id() != std::this_thread::get_id()) {
    core_->thread.join();
  }
}

void Loop::post(std::function<void()> work) { asio::post(core_->io, std::move(work)); }

void Loop::call(const std::function<void()>& work) {
  if (inside()) {
    work();
    return;
  }
  // What was thrown lies here, not with the work: the caller alone lets go of it. (Its count is kept
  // inside libstdc++, where a thread sanitizer cannot see that the other side was done before.)
  std::exception_ptr error;
  auto promise = std::make_shared<std::promise<void>>();
  std::future<void> done = promise->get_future();
  post([&work, &error, promise = std::move(promise)] {
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
    promise->set_value();
  });
  done.get();
  if (error) std::rethrow_exception(error);
}

bool Loop::inside() const {
  return !core_->running || core_->runner.load() == std::this_thread::get_id();
}

// A cancelled alarm's callback may already be in the queue: the number tells it that it came too late.
struct Timer::State {
  explicit State(asio::io_context& io) : timer(io) {}
  asio::steady_timer timer;
  std::uint64_t number = 0;
};

Timer::Timer(Loop& loop) : state_(std::make_shared<State>(loop.core().io)) {}

Timer::~Timer() { cancel(); }

void Timer::after(Milliseconds delay, std::function<void()> work) {
  const std::uint64_t number = ++state_->number;
  state_->timer.expires_after(delay);
  state_->timer.async_wait([state = state_, number, work = std::move(work)](error_code error) {
    if (!error && state->number == number) work();
  });
}

void Timer::cancel() {
  ++state_->number;
  state_->timer.cancel();
}

struct Signals::State : std::enable_shared_from_this<Signals::State> {
  State(asio::io_context& io, std::function<void(int)> to) : set(io), arrived(std::move(to)) {}

  void arm() {
    set.async_wait([self = shared_from_this()](error_code error, int number) {
      if (error || !self->arrived) return;
      self->arm();
      const auto call = self->arrived;  // it may end this object
      call(number);
    });
  }

  asio::signal_set set;
  std::function<void(int)> arrived;
};

Signals::Signals(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> arrived)
    : state_(std::make_shared<State>(loop.core().io, std::move(arrived))) {
  for (const int number : numbers) state_->set.add(number);
  state_->arm();
}

Signals::~Signals() {
  state_->arrived = nullptr;
  error_code ignored;
  state_->set.cancel(ignored);
}

}  // namespace dl::net
