// SPDX-License-Identifier: MIT
#include "net/stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "net/tls.h"

namespace dl::net {

namespace {

// Taken from us and not sent yet. On a slow link the system would else hold megabytes for one peer, which
// then compete with what goes to the next one; on a fast one nothing waits here.
constexpr int kUnsentBytes = 16 * 1024;

// Of the system's own sockets, TCP's or Unix's.
template <typename Socket>
class PlainStream : public Stream {
 public:
  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {
    error_code ignored;  // a peer that is already gone shows in the first read
    socket_.non_blocking(true, ignored);
  }
  ~PlainStream() override { PlainStream::close(); }

  std::size_t read_some(std::span<const iovec> into, error_code& error) override {
    msghdr message = message_of(into);
    return result(::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT), error);
  }

  std::size_t write_some(std::span<const iovec> from, error_code& error) override {
    msghdr message = message_of(from);
    return result(::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL), error);
  }

  void when_readable(std::function<void(error_code)> ready) override {
    socket_.async_wait(Socket::wait_read, std::move(ready));
  }
  void when_writable(std::function<void(error_code)> ready) override {
    socket_.async_wait(Socket::wait_write, std::move(ready));
  }

  void end_writing() override {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  void close() override {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  static msghdr message_of(std::span<const iovec> pieces) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    return message;
  }

  static std::size_t result(ssize_t count, error_code& error) {
    error.clear();
    if (count >= 0) return static_cast<std::size_t>(count);
    const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    error = later ? error_code(asio::error::would_block)
                  : error_code(errno, boost::system::system_category());
    return 0;
  }

  Socket socket_;
};

class TlsStream : public Stream {
 public:
  explicit TlsStream(std::shared_ptr<Tls> tls) : tls_(std::move(tls)) {}
  ~TlsStream() override { tls_->close(); }

  std::size_t read_some(std::span<const iovec> into, error_code& error) override {
    return tls_->read_some(into, error);
  }
  std::size_t write_some(std::span<const iovec> from, error_code& error) override {
    return tls_->write_some(from, error);
  }
  void when_readable(std::function<void(error_code)> ready) override {
    tls_->when_readable(std::move(ready));
  }
  void when_writable(std::function<void(error_code)> ready) override {
    tls_->when_writable(std::move(ready));
  }
  std::size_t pending() const override { return tls_->pending(); }
  void end_writing() override { tls_->end_writing(); }
  void close() override { tls_->close(); }

 private:
  std::shared_ptr<Tls> tls_;
};

}  // namespace

void tune(Tcp::socket& socket) {
  error_code ignored;  // a peer that is already gone shows in the first read
  socket.set_option(Tcp::no_delay(true), ignored);
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes, sizeof kUnsentBytes);
}

std::unique_ptr<Stream> make_stream(Tcp::socket socket) {
  tune(socket);
  return std::make_unique<PlainStream<Tcp::socket>>(std::move(socket));
}

std::unique_ptr<Stream> make_stream(Unix::socket socket) {
  return std::make_unique<PlainStream<Unix::socket>>(std::move(socket));
}

std::unique_ptr<Stream> make_stream(std::shared_ptr<Tls> greeted) {
  return std::make_unique<TlsStream>(std::move(greeted));
}

}  // namespace dl::net
