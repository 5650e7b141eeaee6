// SPDX-License-Identifier: MIT
#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "net/frame.h"
#include "net/tls_words.h"

namespace dl::net {

namespace {

constexpr std::size_t kRecord = 16 * 1024;        // the longest that TLS has
constexpr std::size_t kRecordHead = 5;
constexpr std::size_t kFirstIn = 16 * 1024, kMostIn = 256 * 1024;
constexpr std::size_t kMostOut = 256 * 1024;      // sealed at a time
// Of a peer that is not let in: read before the others get their turn, and before it has been answered long enough.
constexpr std::size_t kTurnThrown = 64 * 1024, kMostThrown = 1024 * 1024;
constexpr std::uint64_t kRekeyBytes = std::uint64_t{1} << 36;  // a fourth of what one AES-GCM key may seal
constexpr std::byte kAlert{21}, kHandshake{22};   // records that a greeting may begin with
constexpr unsigned char kTaken = 1;  // what a server says to a peer whose certificate is good

// Most of those who knock without a key; OpenSSL is not troubled with them.
bool begins_tls(ByteView said) { return (said[0] == kHandshake || said[0] == kAlert) && said[1] == std::byte{3}; }

error_code system_error(int number) { return {number, boost::system::system_category()}; }

}  // namespace

Tls::Tls(Tcp::socket socket, std::shared_ptr<const Credentials> credentials, Side side)
    : socket_(std::move(socket)), credentials_(std::move(credentials)), side_(side), in_(kMostGreeting) {
  error_code ignored;  // a peer that is already gone shows in the first read
  socket_.non_blocking(true, ignored);
  tune(socket_);
}

Tls::~Tls() { close(); }

// OpenSSL takes what it reads from in_ and puts what it writes into out_; the socket is ours alone.
const BIO_METHOD* Tls::bytes_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bytes");
    BIO_meth_set_write(made, &Tls::give);
    BIO_meth_set_read(made, &Tls::take);
    BIO_meth_set_ctrl(made, &Tls::control);
    return made;
  }();
  return method;
}

int Tls::give(BIO* bio, const char* data, int size) {
  auto& self = *static_cast<Tls*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  self.out_.insert(self.out_.end(), bytes, bytes + size);
  return size;
}

int Tls::take(BIO* bio, char* data, int size) {
  auto& self = *static_cast<Tls*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::size_t count = std::min(static_cast<std::size_t>(size), self.in_end_ - self.in_begin_);
  if (count == 0) {
    if (self.ended_) return 0;
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(data, self.in_.data() + self.in_begin_, count);
  self.in_begin_ += count;
  return static_cast<int>(count);
}

long Tls::control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  const auto& self = *static_cast<const Tls*>(BIO_get_data(bio));
  if (command == BIO_CTRL_EOF) return self.ended_ && self.in_begin_ == self.in_end_ ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

void Tls::begin() {
  const bool client = side_ == Side::client;
  const Credentials::Tls& ours = credentials_->tls();
  ssl_.reset(SSL_new((client ? ours.client : ours.server).get()));
  BIO* bio = BIO_new(bytes_method());
  if (!ssl_ || bio == nullptr) fail(Exit::bug, "OpenSSL has no memory for a connection");
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_bio(ssl_.get(), bio, bio);
  client ? SSL_set_connect_state(ssl_.get()) : SSL_set_accept_state(ssl_.get());
}

void Tls::greet(Over over) {
  over_ = std::move(over);
  if (side_ == Side::client) {
    begin();
    if (!shake()) return;
  }
  greet_on();
}

// A server keeps nothing but the socket until the peer's first bytes are there.
void Tls::greet_on() {
  while (!closed_) {
    if (received_ >= most()) {
      settle(Outcome::denied, fmt::format("{} bytes, and no {} among them", received_, credentials_->tls().noun()));
      return;
    }
    error_code error;
    const std::size_t count = fill(error);
    if (error == asio::error::would_block) {
      socket_.async_wait(Tcp::socket::wait_read, [weak = weak_from_this()](error_code failed) {
        if (const auto self = weak.lock(); self && !failed) self->greet_on();
      });
      return;
    }
    if (error || count == 0) {
      settle(Outcome::gone, error ? error.message()
                                   : fmt::format("it closed before it had shown a {}", credentials_->tls().noun()));
      return;
    }
    const bool first = received_ < kRecordHead;
    received_ += count;
    if (received_ < kRecordHead) continue;
    if (first && begins_frame(in_)) {
      settle(Outcome::plain, fmt::format("it speaks without a {}", credentials_->tls().noun()));
      return;
    }
    if (first && !begins_tls(in_)) {
      settle(Outcome::denied, "it speaks neither dl nor TLS");
      return;
    }
    if (!ssl_) begin();
    if (!shake()) return;
  }
}

std::size_t Tls::most() const {
  return credentials_->kind() == Credentials::Kind::key ? kMostGreeting : kMostCertified;
}

// One step of the handshake. False where greeting is over.
bool Tls::shake() {
  ERR_clear_error();
  const int result = SSL_is_init_finished(ssl_.get()) ? 1 : SSL_do_handshake(ssl_.get());
  const int want = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
  const unsigned long error = ERR_peek_error();
  error_code ignored;  // shows in the next read
  flush(ignored);
  if (want == SSL_ERROR_WANT_READ) return true;
  if (want != SSL_ERROR_NONE) {
    settle(Outcome::denied, refusal(error));
  } else if (!proved(ssl_.get(), credentials_->tls())) {
    settle(Outcome::denied, fmt::format("it shows no {}", credentials_->tls().noun()));
  } else if (credentials_->kind() == Credentials::Kind::key) {
    greeted_ = true;
    settle(Outcome::passed, "");
  } else {
    return taken();
  }
  return false;
}

// In TLS 1.3 a client is through before the server has looked at its certificate. So that it says nothing
// before, and is told why where it is not let in, the server ends the greeting with a byte. With a key there
// is no need: a server that could answer has seen the key.
bool Tls::taken() {
  if (side_ == Side::server) {
    greeted_ = true;
    seal(reinterpret_cast<const std::byte*>(&kTaken), 1);
    error_code error;
    if (!flush(error) && error == asio::error::would_block) drain();
    settle(Outcome::passed, "");
    return false;
  }
  unsigned char said = 0;
  std::size_t count = 0;
  const int result = SSL_read_ex(ssl_.get(), &said, 1, &count);
  if (result != 1 && SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return true;
  if (result != 1) {
    settle(Outcome::denied, refusal(ERR_peek_error()));
  } else if (said != kTaken) {
    settle(Outcome::denied, "it does not say that our certificate is good");
  } else {
    greeted_ = true;
    settle(Outcome::passed, "");
  }
  return false;
}

std::string Tls::refusal(unsigned long error) const {
  return fault_.empty() ? words_for(error, credentials_->tls()) : fault_;
}

void Tls::settle(Outcome outcome, const std::string& reason) {
  const auto self = shared_from_this();
  const Over over = std::exchange(over_, nullptr);
  if (over) over(outcome, reason);
}

void Tls::say_plainly(ByteView bytes, std::function<void()> over) {
  thrown_ = std::move(over);
  out_.insert(out_.end(), bytes.begin(), bytes.end());
  end_writing();
  throw_away();
}

void Tls::throw_away() {
  error_code error;
  std::size_t turn = 0;
  for (std::size_t count = 1; count > 0 && turn < kTurnThrown && thrown_away_ < kMostThrown; turn += count) {
    in_begin_ = in_end_ = 0;
    count = fill(error);
    thrown_away_ += count;
  }
  const bool more = error ? error == asio::error::would_block : turn >= kTurnThrown;
  if (more && thrown_away_ < kMostThrown) {
    socket_.async_wait(Tcp::socket::wait_read, [weak = weak_from_this()](error_code failed) {
      if (const auto self = weak.lock(); self && !failed) self->throw_away();
    });
    return;
  }
  const auto self = shared_from_this();
  if (const auto over = std::exchange(thrown_, nullptr)) over();
}

// Bytes received; 0 with `error` clear at the peer's end.
std::size_t Tls::fill(error_code& error) {
  error.clear();
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  if (greeted_ && in_end_ == 0 && in_.size() < kFirstIn) in_.resize(kFirstIn);
  const std::size_t room = in_.size() - in_end_;
  const ssize_t count = ::recv(socket_.native_handle(), in_.data() + in_end_, room, MSG_DONTWAIT);
  if (count < 0) {
    const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    error = later ? error_code(asio::error::would_block) : system_error(errno);
    return 0;
  }
  ended_ = ended_ || (count == 0 && room > 0);
  in_end_ += static_cast<std::size_t>(count);
  // A peer that sends much gets a larger buffer, one that heartbeats does not.
  if (greeted_ && in_begin_ == 0 && in_end_ == in_.size() && in_.size() < kMostIn) {
    in_.resize(2 * in_.size());
  }
  return static_cast<std::size_t>(count);
}

std::size_t Tls::read_some(std::span<const iovec> into, error_code& error) {
  error.clear();
  std::size_t total = 0;
  for (const iovec& piece : into) {
    for (std::size_t done = 0; done < piece.iov_len;) {
      std::size_t count = 0;
      ERR_clear_error();
      const int result = SSL_read_ex(ssl_.get(), static_cast<std::byte*>(piece.iov_base) + done,
                                     piece.iov_len - done, &count);
      if (result == 1) {
        done += count;
        total += count;
        continue;
      }
      const int want = SSL_get_error(ssl_.get(), result);
      if (want == SSL_ERROR_ZERO_RETURN) return total;
      if (want != SSL_ERROR_WANT_READ) {
        if (total == 0) error = system_error(EBADMSG);
        return total;
      }
      if (fill(error) == 0 && error) {
        if (total > 0) error.clear();
        return total;
      }
    }
  }
  return total;
}

std::size_t Tls::write_some(std::span<const iovec> from, error_code& error) {
  if (!flush(error)) return 0;
  std::size_t total = 0;
  bool good = true;
  record_.clear();
  const auto seal_record = [&] {
    if (!record_.empty()) good = seal(record_.data(), record_.size());
    record_.clear();
  };
  for (const iovec& piece : from) {
    const auto* bytes = static_cast<const std::byte*>(piece.iov_base);
    for (std::size_t left = piece.iov_len; good && left > 0 && total < kMostOut;) {
      const std::size_t count = std::min(left, kRecord - record_.size());
      if (count == kRecord) {
        good = seal(bytes, count);
      } else {
        record_.insert(record_.end(), bytes, bytes + count);
        if (record_.size() == kRecord) seal_record();
      }
      bytes += count;
      left -= count;
      total += count;
    }
  }
  if (good) seal_record();
  if (!good) {
    error = system_error(EPIPE);
    return 0;
  }
  if (!flush(error)) {
    if (error != asio::error::would_block) return 0;
    error.clear();
    drain();
  }
  return total;
}

bool Tls::seal(const std::byte* bytes, std::size_t size) {
  ERR_clear_error();
  if (sealed_ >= kRekeyBytes && SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1) {
    sealed_ = 0;
  }
  sealed_ += size;
  std::size_t written = 0;
  return SSL_write_ex(ssl_.get(), bytes, size, &written) == 1 && written == size;
}

// True when everything sealed is with the system.
bool Tls::flush(error_code& error) {
  error.clear();
  while (pending() > 0) {
    const ssize_t count = ::send(socket_.native_handle(), out_.data() + out_begin_, pending(),
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
      error = later ? error_code(asio::error::would_block) : system_error(errno);
      return false;
    }
    out_begin_ += static_cast<std::size_t>(count);
  }
  out_.clear();
  out_begin_ = 0;
  return true;
}

// What was sealed and does not fit into the system's buffer goes out by itself.
void Tls::drain() {
  if (std::exchange(draining_, true)) return;
  socket_.async_wait(Tcp::socket::wait_write, [weak = weak_from_this()](error_code failed) {
    const auto self = weak.lock();
    if (!self) return;
    self->draining_ = false;
    error_code error;
    if (failed || self->closed_) return;
    if (self->flush(error)) {
      if (self->ending_) self->socket_.shutdown(Tcp::socket::shutdown_send, error);
    } else if (error == asio::error::would_block) {
      self->drain();
    }
  });
}

void Tls::when_readable(std::function<void(error_code)> ready) {
  if (in_begin_ < in_end_ || (ssl_ && SSL_pending(ssl_.get()) > 0)) {
    asio::post(socket_.get_executor(), [ready = std::move(ready)] { ready({}); });
    return;
  }
  socket_.async_wait(Tcp::socket::wait_read, std::move(ready));
}

void Tls::when_writable(std::function<void(error_code)> ready) {
  socket_.async_wait(Tcp::socket::wait_write, std::move(ready));
}

void Tls::end_writing() {
  if (std::exchange(ending_, true)) return;
  ERR_clear_error();
  if (greeted_) SSL_shutdown(ssl_.get());
  error_code error;
  if (flush(error)) {
    socket_.shutdown(Tcp::socket::shutdown_send, error);
  } else if (error == asio::error::would_block) {
    drain();
  }
}

void Tls::close() {
  closed_ = true;
  over_ = nullptr;
  thrown_ = nullptr;
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace dl::net
