// SPDX-License-Identifier: MIT
#include "coord/client.h"

#include <algorithm>
#include <future>

#include "coord/state_stream.h"
#include "net/dial.h"

namespace dl::coord {

namespace {

constexpr net::Milliseconds kSilence(10'000);

}  // namespace

net::Milliseconds silence_limit(std::uint32_t heartbeat_ms) {
  return std::max(kSilence, 3 * net::Milliseconds(heartbeat_ms));
}

struct Client::Conversation : std::enable_shared_from_this<Client::Conversation> {
  Conversation(net::Loop& its_loop, ClientSettings given)
      : loop(its_loop), settings(std::move(given)), drained(its_loop) {}

  void begin() {
    const net::Address address = net::parse_address(settings.coordinator);
    const net::Milliseconds patience(static_cast<std::int64_t>(settings.wait_seconds * 1e3));
    dial = std::make_unique<net::Dial>(
        loop, address, patience,
        net::Dial::Events{
            .connected =
                [weak = weak_from_this()](std::shared_ptr<net::Connection> made) {
                  if (const auto self = weak.lock()) self->connected(std::move(made));
                },
            .failed =
                [weak = weak_from_this()](const std::string& reason) {
                  const auto self = weak.lock();
                  if (!self) return;
                  self->lost(Exit::unavailable,
                             fmt::format("no coordinator at {} within {:g} s: {}",
                                         self->settings.coordinator, self->settings.wait_seconds,
                                         reason));
                },
            .denied =
                [weak = weak_from_this()](const std::string& reason) {
                  const auto self = weak.lock();
                  if (!self) return;
                  self->lost(Exit::denied,
                             fmt::format("the coordinator at {} and {} do not belong together: {}",
                                         self->settings.coordinator, self->settings.credentials_name, reason));
                }},
        settings.credentials);
  }

  void connected(std::shared_ptr<net::Connection> made) {
    connection = std::move(made);
    outbox.emplace(connection);
    connection->open(
        {.message =
             [weak = weak_from_this()](const net::Header& header, ByteView payload) {
               if (const auto self = weak.lock()) self->hear(header.type, payload);
             },
         .place = {},
         .placed = {},
         .closed =
             [weak = weak_from_this()](const std::string& reason) {
               const auto self = weak.lock();
               if (!self) return;
               self->over(CoordinatorLost{Exit::unavailable, fmt::format("lost the coordinator at {}: {}",
                                                                         self->settings.coordinator, reason),
                                          true},
                          self->started + 1);
             }});
    connection->idle_limit(silence_limit(0));
    outbox->send(settings.hello);
  }

  void hear(net::Type type, ByteView payload) {
    try {
      take(type, payload);
    } catch (const Error& error) {
      lost(Exit::disagree, fmt::format("the coordinator at {} makes no sense: {}",
                                       settings.coordinator, error.what()));
    }
  }

  void take(net::Type type, ByteView payload) {
    switch (type) {
      case net::Type::heartbeat: {
        net::decode<Heartbeat>(payload);
        const std::uint64_t progress = settings.progress != nullptr ? settings.progress->load() : 0;
        outbox->send_urgent(Heartbeat{progress + pieces});
        return;
      }
      case net::Type::pause: {
        const Pause pause = net::decode<Pause>(payload);
        if (settings.on_pause) settings.on_pause(pause.generation);
        mailbox.put(pause);
        return;
      }
      case net::Type::state_begin: reader.begin(net::decode<StateBegin>(payload)); return;
      case net::Type::state_chunk:
        ++pieces;
        reader.chunk(payload);
        return;
      case net::Type::state_end: mailbox.put(reader.end(net::decode<StateEnd>(payload))); return;
      case net::Type::file_piece:
        ++pieces;
        mailbox.put(decode_piece(payload));
        return;
      case net::Type::load: mailbox.put(net::decode<Load>(payload)); return;
      case net::Type::welcome: {
        Welcome welcome = net::decode<Welcome>(payload);
        connection->idle_limit(silence_limit(welcome.heartbeat_ms));
        mailbox.put(std::move(welcome));
        return;
      }
      case net::Type::send_state: mailbox.put(net::decode<SendState>(payload)); return;
      case net::Type::start: {
        Start start = net::decode<Start>(payload);
        started = start.generation;
        mailbox.put(std::move(start));
        return;
      }
      case net::Type::signal: mailbox.put(net::decode<Signal>(payload)); return;
      case net::Type::refuse: over(net::decode<Refuse>(payload)); return;
      case net::Type::goodbye: over(net::decode<Goodbye>(payload)); return;
      default: fail(Exit::data, "a {} frame from a coordinator", net::name(type));
    }
  }

  // The last word: nothing more is said or heard.
  void over(Incoming last, std::uint32_t generation = 0) {
    if (std::exchange(ended, true)) return;
    dial.reset();
    outbox.reset();
    if (connection) connection->close();
    if (settings.on_pause) settings.on_pause(generation);
    mailbox.put(std::move(last));
  }
  void lost(Exit code, std::string reason) { over(CoordinatorLost{code, std::move(reason)}); }

  void post(std::function<void(Conversation&)> work) {
    loop.post([weak = weak_from_this(), work = std::move(work)] {
      if (const auto self = weak.lock()) work(*self);
    });
  }

  template <typename M>
  void send(const M& message) {
    post([message](Conversation& self) {
      if (self.outbox) self.outbox->send(message);
    });
  }

  void when_drained(std::shared_ptr<std::promise<void>> done) {
    if (outbox && !outbox->idle()) {
      outbox->then([this, done] { when_drained(done); });
      return;
    }
    if (outbox) connection->flush();
    if (!outbox || connection->queued() == 0) {
      done->set_value();
      return;
    }
    // The system's buffer is full; only a leaving node waits here.
    drained.after(net::Milliseconds(2), [this, done] { when_drained(done); });
  }

  net::Loop& loop;
  ClientSettings settings;
  Mailbox mailbox;
  std::unique_ptr<net::Dial> dial;
  std::shared_ptr<net::Connection> connection;
  std::optional<Outbox> outbox;
  StateReader reader;
  std::uint32_t started = 0;  // the newest generation
  std::uint64_t pieces = 0;  // of states and files heard: this too is work that moves on
  net::Timer drained;
  bool ended = false;
};

Client::Client(net::Loop& loop, ClientSettings settings)
    : conversation_(std::make_shared<Conversation>(loop, std::move(settings))) {
  net::parse_address(conversation_->settings.coordinator);  // 64 at once, not on the loop
  conversation_->post([](Conversation& self) { self.begin(); });
}

Client::~Client() {
  conversation_->dial.reset();
  conversation_->outbox.reset();
  conversation_->connection.reset();
}

Mailbox& Client::mailbox() { return conversation_->mailbox; }

void Client::expect_state(std::uint64_t floats) {
  conversation_->post([floats](Conversation& self) { self.reader.expect(floats); });
}

void Client::send(const Ready& message) { conversation_->send(message); }
void Client::send(const Paused& message) { conversation_->send(message); }
void Client::send(const Loaded& message) { conversation_->send(message); }
void Client::send(const Fetch& message) { conversation_->send(message); }
void Client::send(const Progress& message) { conversation_->send(message); }
void Client::send(const Updates& message) { conversation_->send(message); }
void Client::send(const Pace& message) { conversation_->send(message); }
void Client::send(const Report& message) { conversation_->send(message); }
void Client::send(const Done& message) { conversation_->send(message); }
void Client::send(const Refuse& message) { conversation_->send(message); }
void Client::send(const Goodbye& message) { conversation_->send(message); }

void Client::send_state(State state) {
  conversation_->post(
      [shared = std::make_shared<const State>(std::move(state))](Conversation& self) {
        if (self.outbox) self.outbox->send_state(shared);
      });
}

bool Client::flush(double seconds) {
  const auto done = std::make_shared<std::promise<void>>();
  auto waiting = done->get_future();
  conversation_->post([done](Conversation& self) { self.when_drained(done); });
  return waiting.wait_for(std::chrono::duration<double>(seconds)) == std::future_status::ready;
}

}  // namespace dl::coord
