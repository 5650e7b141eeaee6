// SPDX-License-Identifier: MIT
// Whether and why a peer is not let in, as a sentence. For net's own sources.
#pragma once

#include <openssl/x509_vfy.h>

#include <string>

#include "net/tls.h"

namespace dl::net {

// After a handshake that was completed: the peer has shown what is asked for.
bool proved(SSL* ssl, const Credentials::Tls& ours);
// Why one was not; `error` is OpenSSL's first.
std::string words_for(unsigned long error, const Credentials::Tls& ours);
// What is wrong with a certificate, after "its" or a file's name: "certificate 'CN=n1' expired on ...".
std::string words_for(const X509_STORE_CTX* checked);
// "'CN=n1'"; safe to show.
std::string subject_of(const X509* certificate);

}  // namespace dl::net
