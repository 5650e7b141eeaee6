#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The plan of the house, held against the tree: include only from a lower row, each third-party
# library is seen by one folder, an SPDX line in every source, no file that has grown too long.
# usage: house_rules.sh SOURCE_ROOT
set -u
cd "$1" || exit 70
bad=0
complain() { echo "$*"; bad=1; }

row() {
  case $1 in
    base) echo 0 ;;
    linalg|optim|checkpoint|net) echo 1 ;;
    data|nn|comm|coord) echo 2 ;;
    eval) echo 3 ;;
    train) echo 4 ;;
    *) echo "?" ;;
  esac
}

for folder in libcore/*/; do
  folder=$(basename "$folder")
  [ "$(row "$folder")" != "?" ] || complain "libcore/$folder has no row in the plan"
done

# folder/file.h as seen by files of another folder
while IFS=: read -r file _ include; do
  from=$(echo "$file" | cut -d/ -f2)
  to=$(echo "$include" | sed 's/.*"\([a-z]*\)\/.*/\1/')
  [ "$from" = "$to" ] && continue
  if [ "$(row "$to")" = "?" ] || [ "$(row "$to")" -ge "$(row "$from")" ]; then
    complain "$file includes from $to/, which is not below $from/"
  fi
done < <(grep -rnE '^#include "[a-z]+/' libcore --include='*.h' --include='*.cc' --include='*.ipp')

# pattern, the one place that may see it, what it is
seen_by() {
  local found
  found=$(grep -rlE "#include *<($1)" libcore tools --include='*.h' --include='*.cc' --include='*.ipp' | grep -vE "^($2)")
  [ -z "$found" ] || complain "$3 seen outside $2:" $found
}
seen_by 'boost/asio|boost/beast|openssl/ssl' 'libcore/net/' 'Boost.Asio or libssl'
seen_by 'boost/serialization|boost/archive' 'libcore/net/' 'Boost.Serialization'
seen_by 'cblas|openblas|dnnl|oneapi' 'libcore/linalg/' 'BLAS'
seen_by 'boost/program_options' 'tools/cli' 'Boost.Program_options'
seen_by 'boost/iostreams|zlib|zstd' 'libcore/data/' 'Boost.Iostreams'
seen_by 'openssl/evp|openssl/sha' 'libcore/base/' 'libcrypto'
seen_by 'boost/crc' 'libcore/base/' 'Boost.CRC'
seen_by 'nlohmann' 'libcore/base/' 'nlohmann-json'
seen_by 'mpi\.h' 'libcore/comm/' 'MPI'

sources=$(find libcore tools tests -name '*.h' -o -name '*.cc' -o -name '*.ipp')
for file in $sources; do
  head -n 2 "$file" | grep -q 'SPDX-License-Identifier: MIT' || complain "$file: no SPDX line"
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 400 ] && ! grep -q '^// Over 400 lines because' "$file"; then
    complain "$file: $lines lines; split it, or say why ('// Over 400 lines because ...')"
  fi
done
for main in tools/dl-*/main.cc; do
  [ -f "$main" ] || continue
  [ "$(wc -l <"$main")" -le 150 ] || complain "$main: over 150 lines"
done

words=$(grep -rnE '\b(class|struct) [A-Za-z]*(Manager|Handler|Helper|Util|Utils|Context|Engine)\b' libcore tools)
[ -z "$words" ] || complain "a name that says nothing: $words"
exits=$(grep -rnE '(^|[^_a-zA-Z.>])(exit|quick_exit|std::abort|std::terminate)\(' libcore --include='*.h' --include='*.cc' | grep -vE '^[^:]*:[0-9]*: *//')
[ -z "$exits" ] || complain "the library ends the process: $exits"
[ $bad = 0 ] && echo "the house stands as planned"
exit $bad
