// SPDX-License-Identifier: MIT
// What a process shows to its peers, and asks of them, before anything is said.
#pragma once

#include <memory>

namespace dl::net {

// Either a run's key (net/key.h), which both sides have, or a certificate of a site's own
// (net/certificate.h), which each side checks against the CA that it trusts. Any number of connections
// share one, on any threads; what is secret in it is wiped when the last lets it go, and no message or
// log ever has a part of it.
class Credentials {
 public:
  virtual ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  // 77 where no peer would take them now: a certificate has its time.
  virtual void check() const {}

  enum class Kind { key, certificate };
  Kind kind() const;

  struct Tls;  // net/tls.h
  const Tls& tls() const { return *tls_; }

 protected:
  explicit Credentials(std::unique_ptr<Tls> tls);
  std::unique_ptr<Tls> tls_;
};

}  // namespace dl::net
