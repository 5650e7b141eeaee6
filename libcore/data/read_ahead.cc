// SPDX-License-Identifier: MIT
#include "data/read_ahead.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

namespace dl::data {

namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;
constexpr std::size_t kBlocks = 3;  // one is read from, one waits, one is filled

}  // namespace

struct ReadAhead::State {
  explicit State(Source its_source) : source(std::move(its_source)), thread([this] { fill(); }) {}

  struct Block {
    std::string bytes = std::string(kBlock, '\0');
    std::size_t size = 0;
    std::exception_ptr error;
  };

  void fill() {
    for (std::size_t i = 0;; ++i) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stop || i < taken + kBlocks; });
        if (stop) return;
      }
      Block& block = blocks[i % kBlocks];
      block.size = 0;
      try {
        block.size = source(block.bytes.data(), kBlock);
      } catch (...) {
        block.error = std::current_exception();
      }
      const bool last = block.size < kBlock;
      {
        const std::lock_guard lock(mutex);
        filled = i + 1;
      }
      changed.notify_one();
      if (last) return;
    }
  }

  // The block that is read from; waits until it is there.
  Block& front() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return taken < filled; });
    return blocks[taken % kBlocks];
  }

  void let_go() {
    {
      const std::lock_guard lock(mutex);
      ++taken;
    }
    changed.notify_one();
  }

  Source source;
  std::array<Block, kBlocks> blocks;
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t filled = 0, taken = 0;  // blocks
  bool stop = false;
  std::size_t at = 0;  // in the front block
  std::thread thread;  // last: all else is there when it starts
};

ReadAhead::ReadAhead(Source source) : state_(std::make_unique<State>(std::move(source))) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->changed.notify_one();
  state_->thread.join();
}

std::size_t ReadAhead::read(char* to, std::size_t most) {
  State& state = *state_;
  std::size_t done = 0;
  while (done < most) {
    State::Block& block = state.front();
    const std::size_t n = std::min(most - done, block.size - state.at);
    std::memcpy(to + done, block.bytes.data() + state.at, n);
    done += n;
    state.at += n;
    if (state.at < block.size) continue;
    if (block.size < kBlock) {  // the last one stays, so that the end is found again
      if (block.error && done == 0) std::rethrow_exception(block.error);
      break;
    }
    state.at = 0;
    state.let_go();
  }
  return done;
}

}  // namespace dl::data
