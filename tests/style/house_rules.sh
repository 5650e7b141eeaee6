#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The plan of the house, held against the tree: include only from a lower row, each third-party
# library is seen by one folder, an SPDX line in every source, no file that has grown too long.
# usage: house_rules.sh SOURCE_ROOT
set -u
cd "$1" || exit 70

find libcore tools tests \( -name '*.h' -o -name '*.cc' -o -name '*.ipp' \) -print0 | sort -z |
  xargs -0 awk '
function complain(text) { print text; bad = 1 }
function see(pattern, place, what) { n++; seen[n] = pattern; by[n] = place; called[n] = what }
function close_file() {
  if (name == "") return
  if (!licensed) complain(name ": no SPDX line")
  if (lines > 400 && !reason)
    complain(name ": " lines " lines; split it, or say why (\"// Over 400 lines because ...\")")
  if (name ~ /^tools\/dl-[a-z]*\/main\.cc$/ && lines > 150) complain(name ": over 150 lines")
}
BEGIN {
  split("base 0 linalg 1 optim 1 checkpoint 1 net 1 data 2 nn 2 comm 2 coord 2 eval 3 train 4", plan)
  for (i = 1; i in plan; i += 2) row[plan[i]] = plan[i + 1]
  see("boost/asio|boost/beast|openssl/(ssl|bio|err|crypto|pem|x509)", "libcore/net/", "Boost.Asio or libssl")
  see("boost/serialization|boost/archive", "libcore/net/", "Boost.Serialization")
  see("cblas|openblas|dnnl|oneapi", "libcore/linalg/", "BLAS")
  see("boost/program_options", "tools/cli", "Boost.Program_options")
  see("boost/iostreams|zlib|zstd", "libcore/data/", "Boost.Iostreams")
  see("openssl/evp|openssl/sha", "libcore/base/", "libcrypto")
  see("boost/crc", "libcore/base/", "Boost.CRC")
  see("nlohmann", "libcore/base/", "nlohmann-json")
  see("mpi[.]h", "libcore/comm/", "MPI")
}
FNR == 1 {
  close_file()
  name = FILENAME
  licensed = reason = 0
  split(name, part, "/")
  library = part[1] == "libcore"
  from = library ? part[2] : ""
  if (library && !(from in row) && !told[from]++) complain("libcore/" from " has no row in the plan")
}
{ lines = FNR }
FNR <= 2 && /SPDX-License-Identifier: MIT/ { licensed = 1 }
/^\/\/ Over 400 lines because/ { reason = 1 }
/^#include/ {
  where = name ":" FNR
  if (library && match($0, /"[a-z]+\//)) {
    to = substr($0, RSTART + 1, RLENGTH - 2)
    if (to != from && (!(to in row) || row[to] >= row[from]))
      complain(where " includes from " to "/, which is not below " from "/")
  }
  if (part[1] != "tests")
    for (i = 1; i <= n; i++)
      if ($0 ~ "<(" seen[i] ")" && index(name, by[i]) != 1)
        complain(where ": " called[i] " seen outside " by[i])
}
/(class|struct) +[A-Za-z]*(Manager|Handler|Helper|Utils?|Context|Engine)([^A-Za-z0-9_]|$)/ &&
  part[1] != "tests" { complain(name ":" FNR ": a name that says nothing: " $0) }
library && /(^|[^_a-zA-Z.>])(exit|quick_exit|std::abort|std::terminate)\(/ && !/^ *\/\// {
  complain(name ":" FNR ": the library ends the process: " $0)
}
END {
  close_file()
  if (!bad) print "the house stands as planned"
  exit bad
}'
