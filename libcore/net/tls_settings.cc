// SPDX-License-Identifier: MIT
// What OpenSSL is told, once for each key or certificate.
#include <openssl/crypto.h>

#include <cstring>

#include "base/error.h"
#include "net/tls.h"

namespace dl::net {

namespace {

constexpr unsigned char kCipher[] = {0x13, 0x01};  // TLS_AES_128_GCM_SHA256
constexpr const char* kIdentity = "dl";

SSL_SESSION* session_of(SSL* ssl, const Credentials::Tls& tls) {
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

const Credentials::Tls& tls_of(SSL* ssl) {
  return *static_cast<const Credentials::Tls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
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

// A server reads from a peer's first words whether it has what is asked for here: before anything is computed
// for it, and so that it is told what it lacks.
int first_words(SSL* ssl, int* alert, void*) {
  const unsigned char* bytes = nullptr;
  std::size_t length = 0;
  const bool has_key = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &bytes, &length) == 1;
  const bool want_key = tls_of(ssl).kind == Credentials::Kind::key;
  if (has_key == want_key) return SSL_CLIENT_HELLO_SUCCESS;
  static_cast<Tls*>(SSL_get_app_data(ssl))
      ->blame(want_key ? "it shows no key" : "it shows a key, where a certificate is wanted");
  *alert = want_key ? SSL_AD_UNKNOWN_PSK_IDENTITY : SSL_AD_CERTIFICATE_REQUIRED;
  return SSL_CLIENT_HELLO_ERROR;
}

SSL_CTX* settings(const SSL_METHOD* method, Credentials::Tls& tls) {
  SSL_CTX* made = SSL_CTX_new(method);
  if (made == nullptr) fail(Exit::bug, "OpenSSL has no TLS");
  SSL_CTX_set_app_data(made, &tls);
  SSL_CTX_set_options(made, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_security_level(made, 2);  // 112 bits: RSA from 2048 on, no SHA-1
  SSL_CTX_set_max_cert_list(made, Tls::kMostCertified);
  if (SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256") != 1 ||
      SSL_CTX_set1_groups_list(made, "X25519") != 1 || SSL_CTX_set_num_tickets(made, 0) != 1) {
    SSL_CTX_free(made);
    fail(Exit::bug, "OpenSSL lacks TLS 1.3 with AES-128-GCM and X25519");
  }
  return made;
}

}  // namespace

Credentials::Tls::Tls(Kind its_kind) : kind(its_kind) {
  client.reset(settings(TLS_client_method(), *this));
  server.reset(settings(TLS_server_method(), *this));
  SSL_CTX_set_verify(client.get(), SSL_VERIFY_PEER, nullptr);  // where there is a key, no certificate is good enough
  SSL_CTX_set_client_hello_cb(server.get(), &first_words, nullptr);
}

Credentials::Tls::~Tls() { OPENSSL_cleanse(secret.data(), secret.size()); }

Credentials::Credentials(std::unique_ptr<Tls> tls) : tls_(std::move(tls)) {}

Credentials::~Credentials() = default;

Credentials::Kind Credentials::kind() const { return tls_->kind; }

Key::Key(std::span<const std::byte, kBytes> given) : Credentials(std::make_unique<Tls>(Kind::key)) {
  std::memcpy(tls_->secret.data(), given.data(), given.size());
  SSL_CTX_set_psk_use_session_callback(tls_->client.get(), &offer_key);
  SSL_CTX_set_psk_find_session_callback(tls_->server.get(), &find_key);
}

}  // namespace dl::net
