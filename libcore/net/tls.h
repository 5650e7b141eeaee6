// SPDX-License-Identifier: MIT
// TLS 1.3 over one socket, by a pre-shared key or certificates that both sides prove. For net's own sources.
//
// One cipher, TLS_AES_128_GCM_SHA256; a fresh X25519 exchange for each connection, so that what was
// recorded stays secret should the key get out; no tickets, early data or resumption.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "net/door.h"
#include "net/credentials.h"
#include "net/key.h"
#include "net/stream.h"

namespace dl::net {

struct Credentials::Tls {
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };

  explicit Tls(Kind its_kind);
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  const char* noun() const { return kind == Kind::key ? "key" : "certificate"; }

  const Kind kind;
  std::array<unsigned char, Key::kBytes> secret{};  // of a key
  std::unique_ptr<SSL_CTX, Free> client, server;
};

struct Door::Socket {
  Tcp::socket tcp;
};

// First greet(), by whoever owns it; then a stream. Everything on the loop's thread. Closing, or
// letting it go, ends it without a callback.
class Tls : public std::enable_shared_from_this<Tls> {
 public:
  enum class Side { client, server };
  enum class Outcome {
    passed,
    gone,    // closed or broken before either side knew
    plain,   // the peer speaks dl without TLS
    denied,  // it has another key or a certificate that is not good, or none, or does not take ours
  };
  using Over = std::function<void(Outcome outcome, const std::string& reason)>;

  Tls(Tcp::socket socket, std::shared_ptr<const Credentials> credentials, Side side);
  ~Tls();

  // Takes at most kMostGreeting bytes from the peer, with certificates kMostCertified; sets no deadline.
  // When it has passed, both sides have proved who they are. After anything but `passed` the object stands
  // for the plain socket, to be closed, or for say_plainly().
  void greet(Over over);
  // To a peer that was not let in: these bytes as they are, then the end; what it still sends is thrown
  // away until it ends too, so that it can read them, or until that is a megabyte. `over` is called then.
  void say_plainly(ByteView bytes, std::function<void()> over);

  std::size_t read_some(std::span<const iovec> into, error_code& error);
  std::size_t write_some(std::span<const iovec> from, error_code& error);
  void when_readable(std::function<void(error_code)> ready);
  void when_writable(std::function<void(error_code)> ready);
  std::size_t pending() const { return out_.size() - out_begin_; }
  void end_writing();
  void close();
  // Why the handshake will fail, where OpenSSL's own reason says less. Of its callbacks.
  void blame(std::string fault) { fault_ = std::move(fault); }

  static constexpr std::size_t kMostGreeting = 4096;
  static constexpr std::size_t kMostCertified = 16 * 1024;  // a chain of three with RSA keys of 4096 bits takes 8

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  static const BIO_METHOD* bytes_method();
  static int give(BIO* bio, const char* data, int size);
  static int take(BIO* bio, char* data, int size);
  static long control(BIO* bio, int command, long number, void* pointer);

  void begin();
  void greet_on();
  bool shake();
  bool taken();
  std::string refusal(unsigned long error) const;
  std::size_t most() const;
  void settle(Outcome outcome, const std::string& reason);
  void throw_away();
  std::size_t fill(error_code& error);
  bool seal(const std::byte* bytes, std::size_t size);
  bool flush(error_code& error);
  void drain();

  Tcp::socket socket_;
  const std::shared_ptr<const Credentials> credentials_;
  const Side side_;
  std::unique_ptr<SSL, Free> ssl_;
  Over over_;
  std::function<void()> thrown_;
  std::string fault_;
  bool greeted_ = false, ending_ = false, ended_ = false, draining_ = false, closed_ = false;
  std::size_t received_ = 0;                // while greeting
  std::size_t thrown_away_ = 0;             // after it
  std::uint64_t sealed_ = 0;                // bytes since the sending key was changed
  Bytes in_, out_;                          // as they travel
  std::size_t in_begin_ = 0, in_end_ = 0;   // received, not yet taken
  std::size_t out_begin_ = 0;               // up to here sent
  Bytes record_;                            // small pieces, put together
};

// What greet() let pass, as a stream.
std::unique_ptr<Stream> make_stream(std::shared_ptr<Tls> greeted);

}  // namespace dl::net
