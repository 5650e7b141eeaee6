// SPDX-License-Identifier: MIT
#include "net/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <vector>

#include "base/error.h"
#include "net/secret_file.h"
#include "net/tls.h"
#include "net/tls_words.h"

namespace dl::net {

namespace {

constexpr std::size_t kMostBytes = 64 * 1024;    // of a certificate with its chain, and of a key
constexpr std::size_t kMostCaBytes = 1 << 20;    // a site's bundle, at most
constexpr int kDeepest = 4;                      // certificates between ours and the CA

struct Free {
  void operator()(X509* one) const { X509_free(one); }
  void operator()(EVP_PKEY* one) const { EVP_PKEY_free(one); }
  void operator()(BIO* one) const { BIO_free(one); }
  void operator()(X509_STORE* one) const { X509_STORE_free(one); }
  void operator()(X509_STORE_CTX* one) const { X509_STORE_CTX_free(one); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> reader(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL would ask the terminal for a passphrase, and nobody sits there.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

std::vector<Owned<X509>> certificates_in(std::string_view text, const std::string& name) {
  const Owned<BIO> source = reader(text);
  std::vector<Owned<X509>> out;
  bool asked = false;
  ERR_clear_error();
  while (X509* one = PEM_read_bio_X509(source.get(), nullptr, &no_passphrase, &asked)) out.emplace_back(one);
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (out.empty()) {
    fail(Exit::data, "{}: no certificate in PEM (-----BEGIN CERTIFICATE-----) is in this file", name);
  }
  if (!at_end) fail(Exit::data, "{}: what follows certificate {} does not parse", name, out.size());
  return out;
}

Owned<EVP_PKEY> key_in(std::string_view text, const std::string& name) {
  bool asked = false;
  ERR_clear_error();
  Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(reader(text).get(), nullptr, &no_passphrase, &asked));
  ERR_clear_error();
  if (asked) {
    fail(Exit::data, "{0}: this key has a passphrase, which nobody is asked for: openssl pkey -in {0} -out FILE, "
                     "chmod 600 FILE, and give that", name);
  }
  if (!key) fail(Exit::data, "{}: no private key in PEM (-----BEGIN PRIVATE KEY-----) is in this file", name);
  return key;
}

Owned<X509_STORE> store_of(const std::vector<Owned<X509>>& trusted, const std::string& name) {
  Owned<X509_STORE> store(X509_STORE_new());
  if (!store) fail(Exit::bug, "OpenSSL has no memory for certificates");
  for (const Owned<X509>& one : trusted) {
    if (X509_check_ca(one.get()) == 0) {
      fail(Exit::data, "{}: certificate {} is none of a CA (basicConstraints)", name, subject_of(one.get()));
    }
    X509_STORE_add_cert(store.get(), one.get());
  }
  ERR_clear_error();
  return store;
}

// Of a peer's chain, on the way. `good` is OpenSSL's opinion, and remains it.
int look_at(int good, X509_STORE_CTX* checked) {
  if (good == 1) return good;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(checked, SSL_get_ex_data_X509_STORE_CTX_idx()));
  static_cast<Tls*>(SSL_get_app_data(ssl))->blame("its " + words_for(checked));
  return good;
}

void show(SSL_CTX* context, const std::vector<Owned<X509>>& chain, EVP_PKEY* key, const CertificateFiles& names) {
  ERR_clear_error();
  const bool fits = SSL_CTX_use_certificate(context, chain.front().get()) == 1;
  if (!fits) {
    const char* why = ERR_reason_error_string(ERR_peek_error());
    fail(Exit::data, "{}: certificate {} cannot be used: {}", names.certificate, subject_of(chain.front().get()),
         why == nullptr ? "no reason" : why);
  }
  if (SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1) {
    fail(Exit::denied, "{}: this is not the key of the certificate in {}", names.key, names.certificate);
  }
  for (std::size_t i = 1; i < chain.size(); ++i) SSL_CTX_add1_chain_cert(context, chain[i].get());
}

}  // namespace

Certificate::Certificate(const CertificateTexts& texts, CertificateFiles names, bool dials)
    : Credentials(std::make_unique<Tls>(Kind::certificate)), names_(std::move(names)), dials_(dials) {
  const std::vector<Owned<X509>> trusted = certificates_in(texts.ca, names_.ca);
  const std::vector<Owned<X509>> chain = certificates_in(texts.certificate, names_.certificate);
  const Owned<EVP_PKEY> key = key_in(texts.key, names_.key);
  const Owned<X509_STORE> store = store_of(trusted, names_.ca);
  for (SSL_CTX* context : {tls_->client.get(), tls_->server.get()}) {
    show(context, chain, key.get(), names_);
    SSL_CTX_set1_cert_store(context, store.get());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, &look_at);
    SSL_CTX_set_verify_depth(context, kDeepest);
    // A site may give the CA of this cluster alone, without the one above it that signed it.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  }
  ERR_clear_error();
}

void Certificate::check() const {
  SSL_CTX* context = tls_->server.get();
  STACK_OF(X509)* between = nullptr;
  SSL_CTX_get0_chain_certs(context, &between);
  for (const char* purpose : {"ssl_server", "ssl_client"}) {
    if (!dials_ && std::string_view(purpose) == "ssl_client") continue;
    const Owned<X509_STORE_CTX> check(X509_STORE_CTX_new());
    if (!check || X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), SSL_CTX_get0_certificate(context),
                                      between) != 1 ||
        X509_STORE_CTX_set_default(check.get(), purpose) != 1) {
      fail(Exit::bug, "OpenSSL has no memory for certificates");
    }
    X509_STORE_CTX_set_flags(check.get(), X509_V_FLAG_PARTIAL_CHAIN);
    X509_STORE_CTX_set_depth(check.get(), kDeepest);
    const bool good = X509_verify_cert(check.get()) == 1;
    ERR_clear_error();
    if (!good) {
      fail(Exit::denied, "{}: {} (checked against {}): get another one from your CA", names_.certificate,
           words_for(check.get()), names_.ca);
    }
  }
}

std::shared_ptr<const Certificate> read_certificate(const CertificateFiles& files, bool dials) {
  const Secret key = read_secret(files.key, kMostBytes, "the certificate's key");
  const std::string certificate = read_file(files.certificate, kMostBytes), ca = read_trusted(files.ca, kMostCaBytes);
  auto made = std::make_shared<const Certificate>(CertificateTexts{certificate, key.text(), ca}, files, dials);
  made->check();
  return made;
}

}  // namespace dl::net
