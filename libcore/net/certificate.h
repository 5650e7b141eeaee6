// SPDX-License-Identifier: MIT
// Certificates of a site's own instead of a run's key, for those who have a PKI.
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"
#include "net/credentials.h"

namespace dl::net {

// All in PEM. `certificate`: one's own, and behind it those between it and the CA, if any. `ca`: whom to
// believe; a certificate that one of these has signed is let in, directly or through those in between.
struct CertificateFiles {
  std::string certificate, key, ca;
  bool given() const { return !certificate.empty(); }
};

// What is in them.
struct CertificateTexts {
  std::string_view certificate, key, ca;
};

// TLS 1.3 with certificates both ways. A peer is let in if its certificate is signed by a CA of ours, is in
// its time by our clock, and may be used for its side of TLS (extendedKeyUsage, where it has one). What it is
// called is not looked at: peers in a mesh dial addresses, and to be signed by this CA is to be a member.
// Revocation is not looked at either.
class Certificate : public Credentials {
 public:
  // 65 where they do not parse, 77 where key and certificate do not belong together. `names` are for messages.
  // `dials`: it is shown by who connects, too, and not by who listens only.
  Certificate(const CertificateTexts& texts, CertificateFiles names, bool dials);

  // What a peer will see, seen first: 77 where our own certificate is not signed by our own CA, not in its
  // time, or not for listening (and dialling, where we do that).
  void check() const override;

 private:
  CertificateFiles names_;
  bool dials_;
};

// Reads the files and checks our own certificate. 66 where one is missing; 77 where others may read the key,
// or write the CA; else as above.
std::shared_ptr<const Certificate> read_certificate(const CertificateFiles& files, bool dials);

}  // namespace dl::net
