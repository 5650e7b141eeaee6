// SPDX-License-Identifier: MIT
// Boost.Asio for net's own sources; the headers of net do not include it.
#pragma once

#include <utility>  // Boost 1.74 uses std::exchange without it

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <atomic>
#include <thread>

#include "net/loop.h"

namespace dl::net {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using Unix = asio::local::stream_protocol;
using boost::system::error_code;

struct Loop::Core {
  asio::io_context io{1};
  std::thread thread;
  std::atomic<bool> running{false};
  std::atomic<std::thread::id> runner{};
};

}  // namespace dl::net
