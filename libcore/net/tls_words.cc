// SPDX-License-Identifier: MIT
#include "net/tls_words.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "base/error.h"

namespace dl::net {

namespace {

using Kind = Credentials::Kind;

constexpr int kAlertReasons = 1000;  // OpenSSL's reasons from here on are alerts that the peer sent

std::string date_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "a date that makes no sense";
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min);
}

// What the peer thinks of us.
std::string words_for_alert(int alert, Kind kind) {
  if (kind == Kind::key) {
    const bool other_kind = alert == SSL_AD_CERTIFICATE_REQUIRED || alert == SSL_AD_HANDSHAKE_FAILURE;
    return other_kind ? "it wants a certificate (--tls-cert), and no key" : "it does not take our key";
  }
  switch (alert) {
    case SSL_AD_UNKNOWN_PSK_IDENTITY: return "it wants the run's key (--key), and no certificate";
    case SSL_AD_UNKNOWN_CA: return "it does not take our certificate: none of its CAs has signed it";
    case SSL_AD_CERTIFICATE_EXPIRED: return "it does not take our certificate: by its clock, that has expired";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return "it does not take our certificate: its extendedKeyUsage does not allow this side of TLS";
    default: return fmt::format("it does not take our certificate ({})", SSL_alert_desc_string_long(alert));
  }
}

}  // namespace

bool proved(SSL* ssl, const Credentials::Tls& ours) {
  if (ours.kind == Kind::key) return SSL_session_reused(ssl) == 1;
  return SSL_get0_peer_certificate(ssl) != nullptr && SSL_get_verify_result(ssl) == X509_V_OK;
}

std::string words_for(unsigned long error, const Credentials::Tls& ours) {
  const int reason = ERR_GET_REASON(error), alert = reason - kAlertReasons;
  if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
    if (alert >= 0 && alert < 256) return words_for_alert(alert, ours.kind);
    if (reason == SSL_R_BINDER_DOES_NOT_VERIFY) return "it has another key";
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) return "it shows no certificate";
    if (reason == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM || reason == SSL_R_NO_SHARED_CIPHER) {
      return fmt::format("it shows no {}", ours.noun());
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && ours.kind == Kind::key) {
      return "it shows a certificate, and no key";
    }
  }
  const char* text = ERR_reason_error_string(error);
  return fmt::format("it does not show the {} ({})", ours.noun(), text == nullptr ? "no reason" : text);
}

std::string words_for(const X509_STORE_CTX* checked) {
  const X509* one = X509_STORE_CTX_get_current_cert(checked);
  const int fault = X509_STORE_CTX_get_error(checked);
  const std::string name = one == nullptr ? "" : " " + subject_of(one);
  switch (fault) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fmt::format("certificate{} expired on {}", name, date_of(X509_get0_notAfter(one)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fmt::format("certificate{} is for {} and later: that, or a clock, is wrong", name,
                         date_of(X509_get0_notBefore(one)));
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return fmt::format("certificate{} is not signed by a CA of ours", name);
    case X509_V_ERR_INVALID_PURPOSE:
      return fmt::format("certificate{} is not for this side of TLS (extendedKeyUsage: serverAuth to be connected to, "
                         "clientAuth to connect)", name);
    default: return fmt::format("certificate{} is not good: {}", name, X509_verify_cert_error_string(fault));
  }
}

std::string subject_of(const X509* certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> text(BIO_new(BIO_s_mem()), &BIO_free_all);
  if (!text) return "''";
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(text.get(), &bytes);
  return shown(std::string_view(bytes, size > 0 ? static_cast<std::size_t>(size) : 0));
}

}  // namespace dl::net
