// SPDX-License-Identifier: MIT
// Certificates on the command lines of dl-coord and dl-node. Paths only: anybody may read a command line.
#pragma once

#include <vector>

#include "cli.h"
#include "net/certificate.h"

namespace dl::cli {

void add_tls_options(Table& table);

// All three files or none, and not beside --insecure or --key; else 64, with what is missing. As absolute paths,
// for processes that begin elsewhere.
net::CertificateFiles read_tls_options(const Given& given);

// The same as words of a command line.
std::vector<std::string> words_of(const net::CertificateFiles& files);

}  // namespace dl::cli
