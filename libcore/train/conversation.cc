// SPDX-License-Identifier: MIT
#include "train/conversation.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <csignal>
#include <limits>
#include <string>
#include <utility>

#include "linalg/arithmetic.h"
#include "net/certificate.h"
#include "net/key.h"

#ifndef DL_VERSION
#define DL_VERSION "unknown"
#endif

namespace dl::train {

namespace {

constexpr double kFlushSeconds = 4;  // a leaving node's last words

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

std::shared_ptr<const net::Credentials> credentials_of(const NodeOptions& options) {
  if (options.insecure) return nullptr;
  if (options.tls.given()) return net::read_certificate(options.tls, true);
  return net::read_key(options.key, net::Milliseconds(static_cast<std::int64_t>(options.wait_seconds * 1e3)));
}

}  // namespace

Conversation::Conversation(const NodeOptions& options, const Log& log)
    : options_(options), log_(log), credentials_(credentials_of(options)) {
  loop_.start([this](std::exception_ptr thrown) { broke(std::move(thrown)); });
  mesh_.emplace(loop_, net::Address{"", 0}, options.transport, guard());
  loop_.call([this] {
    signals_.emplace(loop_, std::initializer_list<int>{SIGTERM, SIGINT},
                     [this](int number) { arrived(number); });
    client_.emplace(loop_, settings());
  });
}

Conversation::~Conversation() {
  loop_.call([this] {  // nothing on the I/O thread may ask for the mesh when it goes
    signals_.reset();
    client_.reset();
  });
  mesh_.reset();
  loop_.stop();
}

void Conversation::check_credentials() const {
  if (credentials_) credentials_->check();
}

// On the I/O thread. Strangers at the port are worth a line, many of them few.
net::Guard Conversation::guard() {
  return {credentials_, {}, [this](const std::string& who, const std::string& reason) {
            if (std::has_single_bit(++strangers_)) {
              log_.warning("{} is no node of this run: {} ({} such so far)", who, reason, strangers_);
            }
          }};
}

coord::ClientSettings Conversation::settings() {
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
void Conversation::arrived(int number) {
  signal_ = number;
  client_->mailbox().put(coord::Signal{});  // wakes a waiting training thread
  loop_.post([this] { signals_.reset(); });
}

// On the I/O thread: one of its callbacks failed, which none should. The training thread ends the node.
void Conversation::broke(std::exception_ptr thrown) try {
  if (client_) std::rethrow_exception(std::move(thrown));
} catch (const std::exception& error) {
  const std::string reason = fmt::format("this is a bug: on the I/O thread: {}", error.what());
  mesh_->abort(std::numeric_limits<std::uint32_t>::max(), reason);
  client_->mailbox().put(coord::CoordinatorLost{Exit::bug, reason});
}

coord::Incoming Conversation::next() {
  if (stash_.empty()) return client_->mailbox().take();
  coord::Incoming item = std::move(stash_.front());
  stash_.pop_front();
  return item;
}

int Conversation::leave() {
  client_->send(coord::Goodbye{static_cast<std::uint32_t>(128 + signal_),
                               fmt::format("left after signal {}", signal_.load())});
  client_->flush(kFlushSeconds);
  return 128 + signal_;
}

int Conversation::refuse(const Error& error) {
  log_.error("{}", error.what());
  coord::Refuse last;
  last.code = static_cast<std::uint32_t>(error.code());
  last.text = decltype(last.text)::cut(error.what());
  client_->send(last);
  client_->flush(kFlushSeconds);
  return static_cast<int>(error.code());
}

coord::FilePiece Conversation::next_piece() {
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

std::uint32_t Conversation::wanted_bits() {
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

void Conversation::begin_again() {
  stash_.clear();
  loop_.call([this] {
    client_.reset();
    client_.emplace(loop_, settings());
  });
}

}  // namespace dl::train
