// SPDX-License-Identifier: MIT
// A place that lets some in, those who come to it, and what each of them gets to hear.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <optional>

#include "net/asio.h"
#include "net/dial.h"
#include "net/listener.h"
#include "raw_socket.h"

namespace dl::test {

inline const std::string kSecret = "nobody else reads this sentence about the model";

inline Bytes refusal() { return net::encode_frame({.type = net::Type::refuse}, as_bytes_of(std::string_view("no"))); }

// A place with credentials. Whoever comes in is told the secret; everything is written down.
struct House {
  net::Loop loop;
  std::vector<std::shared_ptr<net::Connection>> guests;
  std::vector<std::string> refused, heard, closed;
  std::function<void()> changed = [] {};
  std::optional<net::Listener> listener;
  net::Timer limit{loop};

  explicit House(std::shared_ptr<const net::Credentials> credentials, net::Milliseconds patience = net::Milliseconds(5000)) {
    const auto refuse = [this](const std::string&, const std::string& reason) {
      refused.push_back(reason);
      changed();
    };
    listener.emplace(
        loop, net::Address{"127.0.0.1", 0},
        [this](std::shared_ptr<net::Connection> guest) {
          guests.push_back(guest);
          net::Connection::Events events;
          events.message = [this](const net::Header&, ByteView payload) {
            heard.emplace_back(reinterpret_cast<const char*>(payload.data()), payload.size());
            changed();
          };
          events.closed = [this](const std::string& why) {
            closed.push_back(why);
            changed();
          };
          guest->open(events);
          guest->send(net::Type::welcome, as_bytes_of(std::string_view(kSecret)));
          changed();
        },
        net::Guard{std::move(credentials), refusal(), refuse, patience});
    limit.after(net::Milliseconds(20'000), [] { throw std::runtime_error("the test took too long"); });
  }

  void run_until(std::function<bool()> met) {
    changed = [this, met = std::move(met)] {
      if (met()) loop.stop();
    };
    loop.core().io.restart();  // it was stopped before, maybe
    loop.run();
    changed = [] {};
  }
};

// What came back until the end, to someone who sends these bytes.
struct Stranger {
  Stranger(House& house, const Bytes& bytes) : fd(raw_socket(house.listener->address())) {
    REQUIRE(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  ~Stranger() { ::close(fd); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  std::string answer() const {
    std::string all(64 * 1024, '\0');
    std::size_t size = 0;
    for (ssize_t count = 1; count > 0 && size < all.size();) {
      count = ::recv(fd, all.data() + size, all.size() - size, MSG_DONTWAIT);
      if (count > 0) size += static_cast<std::size_t>(count);
    }
    return all.substr(0, size);
  }
  const int fd;
};

// Dials with these credentials and says one thing.
struct Guest {
  Guest(House& house, const net::Address& to, std::shared_ptr<const net::Credentials> credentials)
      : dial(house.loop, to, net::Milliseconds(10'000),
             {.connected =
                  [this, &house](std::shared_ptr<net::Connection> made) {
                    connection = std::move(made);
                    net::Connection::Events events;
                    events.message = [this, &house](const net::Header& header, ByteView payload) {
                      type = header.type;
                      told.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
                      house.changed();
                    };
                    events.closed = [this, &house](const std::string& why) {
                      closed = why;
                      house.changed();
                    };
                    connection->open(events);
                    connection->send(net::Type::report, as_bytes_of(std::string_view("good evening")));
                  },
              .failed = [](const std::string& why) { FAIL(why); },
              .denied =
                  [this, &house](const std::string& why) {
                    denied = why;
                    house.changed();
                  }},
             std::move(credentials)) {}
  std::shared_ptr<net::Connection> connection;
  std::string told, closed, denied;
  net::Type type = net::Type::hello;
  net::Dial dial;
};

}  // namespace dl::test
