// SPDX-License-Identifier: MIT
// What OpenSSL is told, once for each key.
#include <openssl/crypto.h>

#include <cstring>

#include "base/error.h"
#include "net/tls.h"

namespace dl::net {

namespace {

constexpr unsigned char kCipher[] = {0x13, 0x01};  // TLS_AES_128_GCM_SHA256
constexpr const char* kIdentity = "dl";

SSL_SESSION* session_of(SSL* ssl, const Key::Tls& tls) {
  SSL_SESSION* session = SSL_SESSION_new();
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kCipher);
  if (session != nullptr && cipher != nullptr &&
      SSL_SESSION_set1_master_key(session, tls.secret.data(), tls.secret.size()) == 1 &&
      SSL_SESSION_set_cipher(session, cipher) == 1 &&
      SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1) {
    return session;
  }
  SSL_SESSION_free(session);
  return nullptr;
}

const Key::Tls& tls_of(SSL* ssl) {
  return *static_cast<const Key::Tls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

int offer_key(SSL* ssl, const EVP_MD*, const unsigned char** identity, std::size_t* length,
              SSL_SESSION** session) {
  *identity = reinterpret_cast<const unsigned char*>(kIdentity);
  *length = std::strlen(kIdentity);
  *session = session_of(ssl, tls_of(ssl));
  return *session != nullptr ? 1 : 0;
}

// A session does not say that the peer has the key: OpenSSL checks that next.
int find_key(SSL* ssl, const unsigned char* identity, std::size_t length, SSL_SESSION** session) {
  const bool ours = length == std::strlen(kIdentity) && std::memcmp(identity, kIdentity, length) == 0;
  *session = ours ? session_of(ssl, tls_of(ssl)) : nullptr;
  return 1;
}

SSL_CTX* settings(const SSL_METHOD* method, Key::Tls& tls) {
  SSL_CTX* made = SSL_CTX_new(method);
  if (made == nullptr) fail(Exit::bug, "OpenSSL has no TLS");
  SSL_CTX_set_app_data(made, &tls);
  SSL_CTX_set_options(made, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256") != 1 ||
      SSL_CTX_set1_groups_list(made, "X25519") != 1 || SSL_CTX_set_num_tickets(made, 0) != 1) {
    SSL_CTX_free(made);
    fail(Exit::bug, "OpenSSL lacks TLS 1.3 with AES-128-GCM and X25519");
  }
  return made;
}

}  // namespace

Key::Key(std::span<const std::byte, kBytes> given) : tls_(std::make_unique<Tls>()) {
  std::memcpy(tls_->secret.data(), given.data(), given.size());
  tls_->client.reset(settings(TLS_client_method(), *tls_));
  SSL_CTX_set_psk_use_session_callback(tls_->client.get(), &offer_key);
  SSL_CTX_set_verify(tls_->client.get(), SSL_VERIFY_PEER, nullptr);  // no certificate is good enough
  tls_->server.reset(settings(TLS_server_method(), *tls_));
  SSL_CTX_set_psk_find_session_callback(tls_->server.get(), &find_key);
}

Key::~Key() { OPENSSL_cleanse(tls_->secret.data(), tls_->secret.size()); }

}  // namespace dl::net
