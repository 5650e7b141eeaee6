#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds dl and runs its tests; the last line is 'N passed, N failed, N skipped'.
# usage: tests/run.sh [--long]
#   --long   with every combination of modes, not only pairs; then once more under the address,
#            undefined-behaviour and thread sanitizers, with promises taken out of a copy of the tree
#            (tests/mutations.sh), and, where there is clang, a minute of fuzzing for each target of tests/fuzz
set -u
cd "$(dirname "$0")/.." || exit 70
long=no
case ${1-} in
  '') ;;
  --long) long=yes ;;
  *) echo "usage: tests/run.sh [--long]" >&2; exit 64 ;;
esac

# Beside the compiler: doctest; mandoc lints the pages; pgrep and pkill find nodes to kill; numpy reads
# checkpoints as a stranger would.
share/install-packages.sh doctest-dev mandoc openssl procps python3-numpy || exit
passed=0 failed=0 skipped=0 wanted=

# build DIR OPTION...: what meson and the compiler say is shown only where they fail
build() {
  local dir=$1
  shift
  [ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log" >&2; exit 70; }
  rm -f "$dir.log"
  ninja -C "$dir" $wanted >"$dir/compile.log" 2>&1 || { tail -n 50 "$dir/compile.log" >&2; exit 70; }
}
# counted LOG WORD: the figure that `meson test` gives for it
counted() { sed -n "s/^$2: *//p" "$1" | tail -n 1 | grep . || echo 0; }
# suite DIR OPTION...: runs its tests and adds up what came out
suite() {
  local dir=$1 log=$1/tests.log
  shift
  meson test -C "$dir" --no-rebuild --print-errorlogs "$@" >"$log" 2>&1
  cat "$log"
  grep -q '^Ok:' "$log" || failed=$((failed + 1))  # it did not come to its end
  passed=$((passed + $(counted "$log" Ok)))
  failed=$((failed + $(counted "$log" Fail) + $(counted "$log" Timeout) + $(counted "$log" 'Unexpected Pass')))
  skipped=$((skipped + $(counted "$log" Skipped)))
}
# sanitized DIR SANITIZERS: a test may kill a node or expect it to fail, and so miss that a sanitizer
# ended it; therefore every process writes what a sanitizer has to say to a file, and none may exist.
sanitized() {
  local dir=$1 reports said
  build "$dir" --buildtype=debugoptimized "-Db_sanitize=$2" -Db_lundef=false
  reports=$PWD/$dir/reports
  rm -rf "$reports" && mkdir "$reports" || exit 73
  said=halt_on_error=1:print_stacktrace=1:exitcode=99:log_path=$reports/report
  (
    export ASAN_OPTIONS=detect_leaks=1:$said UBSAN_OPTIONS=$said TSAN_OPTIONS=$said
    export MESON_TESTTHREADS=1 DL_PATIENCE=4
    suite "$dir" -t 4
    echo "$passed $failed $skipped" >"$dir/counts"
  )
  read -r passed failed skipped <"$dir/counts"
  if [ -n "$(ls -A "$reports")" ]; then
    cat "$reports"/*
    echo "$dir: $(ls "$reports" | wc -l) processes were reported by a sanitizer, see $reports"
    failed=$((failed + 1))
  else
    passed=$((passed + 1))
  fi
}

# fuzzed DIR: what a target finds is left in DIR/findings; it belongs to its corpus, with the cure.
fuzzed() {
  local dir=$1 target name
  if ! command -v clang++ >/dev/null; then
    echo "no clang++ here: nothing is fuzzed"
    skipped=$((skipped + 1))
    return
  fi
  CXX=clang++ wanted=fuzzers build "$dir" --buildtype=debugoptimized -Dfuzz=true
  mkdir -p "$dir/findings" "$dir/found" || exit 73
  for target in "$dir"/tests/fuzz/fuzz-*; do
    [ -f "$target" ] || continue
    name=${target##*/fuzz-}
    mkdir -p "$dir/found/$name" || exit 73
    if "$target" -max_total_time=60 -timeout=20 -artifact_prefix="$dir/findings/$name-" "$dir/found/$name" \
      "tests/fuzz/corpus/$name" >"$dir/$name.log" 2>&1; then
      tail -n 1 "$dir/$name.log"
      passed=$((passed + 1))
    else
      tail -n 50 "$dir/$name.log"
      failed=$((failed + 1))
    fi
  done
}

# mutated DIR: the tests must find what the patches of tests/mutations break
mutated() {
  if tests/mutations.sh "$1"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

build=${DL_BUILD:-build-tests}
build "$build"
if [ $long = yes ]; then DL_ALL_COMBINATIONS=yes suite "$build"; else suite "$build"; fi
if [ $long = yes ]; then
  sanitized "$build-address" address,undefined
  sanitized "$build-thread" thread
  mutated "$build-mutations"
  fuzzed "$build-fuzz"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
