// SPDX-License-Identifier: MIT
// A byte stream to a peer, ready or not: the seam where a secured stream takes TCP's place.
// For net's own sources.
#pragma once

#include <sys/uio.h>

#include <functional>
#include <memory>
#include <span>

#include "net/asio.h"

namespace dl::net {

// Reads and writes never block. The two callbacks are called once, on the loop; with an error when
// the stream was closed meanwhile, which may be after the stream is gone.
class Stream {
 public:
  virtual ~Stream() = default;

  // Bytes read. 0 with `error` clear is the peer's end; would_block where there is nothing now.
  virtual std::size_t read_some(std::span<const iovec> into, error_code& error) = 0;
  virtual std::size_t write_some(std::span<const iovec> from, error_code& error) = 0;
  virtual void when_readable(std::function<void(error_code)> ready) = 0;
  virtual void when_writable(std::function<void(error_code)> ready) = 0;
  virtual std::size_t pending() const { return 0; }  // bytes taken by write_some() and not yet with the system
  virtual void end_writing() = 0;  // the peer reads the end after what was written
  virtual void close() = 0;
};

// What every TCP connection wants of the system: small frames at once, and of long ones little ahead of the wire,
// so that who waits for the socket to be writable sends to its peers in the order that it chose.
void tune(Tcp::socket& socket);

// Plain TCP; net/tls.h makes one that is secured.
std::unique_ptr<Stream> make_stream(Tcp::socket socket);
// To a process of this host.
std::unique_ptr<Stream> make_stream(Unix::socket socket);

}  // namespace dl::net
