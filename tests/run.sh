#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds dl and runs its tests; the last line is 'N passed, N failed, N skipped'.
# usage: tests/run.sh [--long]
#   --long   also sanitizer builds, full combinations and fuzzing
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
share/install-packages.sh doctest-dev mandoc procps python3-numpy || exit
build=${DL_BUILD:-build-tests}
[ -f "$build/build.ninja" ] || meson setup "$build" >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 70; }
rm -f "$build.log"
ninja -C "$build" >"$build/compile.log" 2>&1 || { tail -n 50 "$build/compile.log" >&2; exit 70; }

passed=0 failed=0 skipped=0
# Adds up what one `meson test` said.
count() {
  local log=$1
  passed=$((passed + $(sed -n 's/^Ok: *//p' "$log" | tail -n 1)))
  failed=$((failed + $(sed -n 's/^Fail: *//p' "$log" | tail -n 1) + $(sed -n 's/^Timeout: *//p' "$log" | tail -n 1)))
  failed=$((failed + $(sed -n 's/^Unexpected Pass: *//p' "$log" | tail -n 1)))
  skipped=$((skipped + $(sed -n 's/^Skipped: *//p' "$log" | tail -n 1)))
}
suite() {
  local dir=$1
  shift
  env DL_LONG=$long "$@" meson test -C "$dir" --no-rebuild --print-errorlogs >"$dir/tests.log" 2>&1
  cat "$dir/tests.log"
  count "$dir/tests.log"
}

suite "$build"

if [ $long = yes ]; then
  for sanitizer in address,undefined thread; do
    dir=$build-${sanitizer%%,*}
    [ -f "$dir/build.ninja" ] || meson setup "$dir" --buildtype=debugoptimized \
      -Db_sanitize=$sanitizer -Db_lundef=false >/dev/null || exit 70
    ninja -C "$dir" >"$dir/compile.log" 2>&1 || { tail -n 50 "$dir/compile.log" >&2; exit 70; }
    suite "$dir" ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1 \
      TSAN_OPTIONS="halt_on_error=1" MESON_TESTTHREADS=1
  done
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
