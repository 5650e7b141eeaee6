#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The binaries prove the plan: dl-shard and dl-eval hold no Asio, dl-coord and dl-shard link no BLAS; all are linked
# so that what a stranger sends does not turn into code; with -Dhardened=true they are compiled so, too.
# usage: links.sh hardened|plain DL_SHARD DL_NODE DL_COORD DL_EVAL
set -u
compiled=$1
shift
shard=$1 node=$2 coord=$3 evaluate=$4
bad=0
complain() { echo "$*"; bad=1; }
for tool in "$@"; do [ -x "$tool" ] || complain "$tool was not built"; done
for tool in "$shard" "$coord"; do
  ldd "$tool" | grep -qi blas && complain "$tool links BLAS"
done
ldd "$node" | grep -qi blas || complain "$node links no BLAS: this test looks at the wrong thing"
# A binary with Asio inside carries the names of its error categories.
asio() { grep -qa 'asio\.' "$1"; }
for tool in "$shard" "$evaluate"; do
  asio "$tool" && complain "$tool holds Boost.Asio"
done
asio "$node" || complain "$node holds no Asio: this test looks at the wrong thing"
# Loaded anywhere, nothing writable is executable, and what the loader fills in is read-only then.
for tool in "$@"; do
  readelf -hW "$tool" | grep -q 'Type: *DYN' || complain "$tool is not position-independent"
  readelf -lW "$tool" | grep -q GNU_RELRO || complain "$tool has tables that stay writable (no relro)"
  readelf -dW "$tool" | grep -Eq 'BIND_NOW|FLAGS_1.*NOW' || complain "$tool fills in its tables while it runs (no -z now)"
  readelf -lW "$tool" | grep GNU_STACK | grep -q 'RWE' && complain "$tool has an executable stack"
  readelf -lW "$tool" | grep LOAD | grep -q 'RWE' && complain "$tool has a segment that is writable and executable"
done
# What can be seen of the compiler's part: calls for a stack that was written over, calls of checked copies, and marks
# where jumps may land (the note that says so of a whole program is lost where the system's start files have none).
[ "$compiled" = plain ] || for tool in "$@"; do
  symbols=$(readelf --dyn-syms -W "$tool")
  grep -q '__stack_chk_fail' <<<"$symbols" || complain "$tool has no guarded stacks (-fstack-protector-strong)"
  grep -v '__stack_chk_fail' <<<"$symbols" | grep -Eq '__[a-z]+_chk' || complain "$tool has no checked copies (_FORTIFY_SOURCE)"
  case $(uname -m) in
    x86_64)
      marks=$(LC_ALL=C grep -aoP '\xf3\x0f\x1e\xfa' "$tool" | wc -l)  # endbr64
      [ "$marks" -gt 1000 ] || complain "$tool may jump anywhere (-fcf-protection): $marks marks"
      ;;
  esac
done
[ $bad = 0 ] && echo "every tool links what the plan says"
exit $bad
