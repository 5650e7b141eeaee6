// SPDX-License-Identifier: MIT
#include "tls_options.h"

namespace dl::cli {

namespace {
constexpr const char* kNames[] = {"tls-cert", "tls-key", "tls-ca"};
}

void add_tls_options(Table& table) {
  table.option("tls-cert", "FILE", "a certificate (PEM) to show instead of the run's key")
      .option("tls-key", "FILE", "the certificate's private key (PEM, mode 0600)")
      .option("tls-ca", "FILE", "the CA (PEM) whose certificates are let in");
}

net::CertificateFiles read_tls_options(const Given& given) {
  std::string here, missing;
  for (const char* name : kNames) {
    std::string& list = given.has(name) ? here : missing;
    list += (list.empty() ? "--" : " and --") + std::string(name);
  }
  if (here.empty()) return {};
  if (!missing.empty()) {
    fail(Exit::usage, "{} without {}: all three, or none and the run's key", here, missing);
  }
  for (const char* name : kNames) {
    if (given.text(name).empty()) fail(Exit::usage, "--{}: a file is wanted", name);
  }
  for (const char* other : {"insecure", "key"}) {
    if (given.values().contains(other)) fail(Exit::usage, "--{} goes without {}; give one of them", other, here);
  }
  const auto path = [&](const char* name) { return fs::absolute(given.text(name)).string(); };
  return {path("tls-cert"), path("tls-key"), path("tls-ca")};
}

std::vector<std::string> words_of(const net::CertificateFiles& files) {
  if (!files.given()) return {};
  return {"--tls-cert", files.certificate, "--tls-key", files.key, "--tls-ca", files.ca};
}

}  // namespace dl::cli
