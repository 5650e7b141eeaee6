// SPDX-License-Identifier: MIT
// A PKI for tests: authorities, and what they sign.
#pragma once

#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "net/certificate.h"

namespace dl::test {

struct Paper {
  std::string certificate, key;  // PEM
};

using PrivateKey = std::shared_ptr<EVP_PKEY>;
inline PrivateKey elliptic_key() { return {EVP_EC_gen("P-256"), &EVP_PKEY_free}; }
inline PrivateKey rsa_key(unsigned bits) { return {EVP_RSA_gen(bits), &EVP_PKEY_free}; }

inline std::string pem_of(const PrivateKey& key, const char* passphrase = nullptr) {
  BIO* out = BIO_new(BIO_s_mem());
  const int size = passphrase == nullptr ? 0 : static_cast<int>(std::char_traits<char>::length(passphrase));
  REQUIRE(PEM_write_bio_PKCS8PrivateKey(out, key.get(), size > 0 ? EVP_aes_128_cbc() : nullptr, passphrase, size, nullptr,
                                        nullptr) == 1);
  char* bytes = nullptr;
  const long length = BIO_get_mem_data(out, &bytes);
  std::string text(bytes, static_cast<std::size_t>(length));
  BIO_free(out);
  return text;
}

class Authority {
 public:
  struct Wish {
    const char* usage = "serverAuth,clientAuth";  // extendedKeyUsage
    long from = -3600, until = 3600;              // seconds from now
    PrivateKey key = elliptic_key();
  };

  // Signed by itself, or by one above.
  explicit Authority(const std::string& name, const Authority* above = nullptr, PrivateKey key = elliptic_key())
      : key_(std::move(key)), own_(made(name, key_, above, {}, true)) {}

  Paper issue(const std::string& name, const Wish& wish) const {
    return {pem(made(name, wish.key, this, wish, false)), pem_of(wish.key)};
  }
  Paper issue(const std::string& name) const { return issue(name, Wish{}); }
  std::string certificate() const { return pem(own_); }

 private:
  using Own = std::shared_ptr<X509>;

  static void add(X509* to, X509* issuer, int kind, const char* value) {
    X509V3_CTX about;
    X509V3_set_ctx(&about, issuer, to, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &about, kind, value);
    REQUIRE(extension != nullptr);
    X509_add_ext(to, extension, -1);
    X509_EXTENSION_free(extension);
  }

  static Own made(const std::string& name, const PrivateKey& key, const Authority* by, const Wish& wish, bool authority) {
    const Own one(X509_new(), &X509_free);
    static long serial = 0;
    X509_set_version(one.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(one.get()), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(one.get()), wish.from);
    X509_gmtime_adj(X509_getm_notAfter(one.get()), wish.until);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(one.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509* issuer = by == nullptr ? one.get() : by->own_.get();
    X509_set_issuer_name(one.get(), X509_get_subject_name(issuer));
    X509_set_pubkey(one.get(), key.get());
    add(one.get(), issuer, NID_basic_constraints, authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add(one.get(), issuer, NID_subject_key_identifier, "hash");
    if (!authority && wish.usage != nullptr) add(one.get(), issuer, NID_ext_key_usage, wish.usage);
    REQUIRE(X509_sign(one.get(), (by == nullptr ? key : by->key_).get(), EVP_sha256()) > 0);
    return one;
  }

  static std::string pem(const Own& one) {
    BIO* out = BIO_new(BIO_s_mem());
    REQUIRE(PEM_write_bio_X509(out, one.get()) == 1);
    char* bytes = nullptr;
    const long length = BIO_get_mem_data(out, &bytes);
    std::string text(bytes, static_cast<std::size_t>(length));
    BIO_free(out);
    return text;
  }

  PrivateKey key_;
  Own own_;
};

inline std::shared_ptr<const net::Certificate> shown_by(const Paper& paper, const std::string& ca) {
  return std::make_shared<const net::Certificate>(net::CertificateTexts{paper.certificate, paper.key, ca},
                                                  net::CertificateFiles{"cert.pem", "key.pem", "ca.pem"}, true);
}

}  // namespace dl::test
