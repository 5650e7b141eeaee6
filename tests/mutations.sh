#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Proves that the tests can fail: each patch of tests/mutations takes a promise out of the program, and the test that
# holds it must fail. A patch says in its first lines what it breaks, which binary sees that, and in which cases.
# usage: tests/mutations.sh [DIR]    works in a copy of the tree; DIR keeps it, and what it compiled, for the next time
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -gt 0 ]; then
  work=$1
  mkdir -p "$work" || exit 73
else
  work=$(mktemp -d) || exit 73
  trap 'rm -rf "$work"' EXIT
fi
work=$(cd "$work" && pwd)
said() { sed -n "s/^$2: //p" "$1"; }

(cd "$root" && tar -cf - libcore tools tests man share meson.build meson_options.txt README.md LICENSE) | tar -xf - -C "$work" || exit 74
cd "$work" || exit 70
sed -n 's|^+++ b/||p' "$root"/tests/mutations/*.patch | sort -u | xargs touch  # an earlier call may have left them changed
command -v ccache >/dev/null && export CXX="${CXX:-ccache g++}"
[ -f build/build.ninja ] || meson setup build >meson.log 2>&1 || { cat meson.log; exit 70; }

# passes PATCH: whether the tests that it names pass on the tree as it is; 2: it does not compile, 3: it hangs
passes() {
  local target
  target=$(said "$1" target)
  ninja -C build "$target" >compile.log 2>&1 || return 2
  timeout 120 "build/$target" -tc="$(said "$1" cases)" >test.log 2>&1
  case $? in 0) return 0 ;; 124) return 3 ;; *) return 1 ;; esac
}

found=0 missed=0 checked=
for patch in "$root"/tests/mutations/*.patch; do
  name=$(basename "$patch" .patch)
  miss() { missed=$((missed + 1)); echo "MISSED $name: $*"; }
  key="$(said "$patch" target) $(said "$patch" cases)"
  if [[ $checked != *"|$key|"* ]]; then  # a test that fails anyway proves nothing
    passes "$patch" || { miss "its tests do not pass without it"; tail -n 20 compile.log test.log; continue; }
    grep -q 'test cases: *0 ' test.log && { miss "no case of that name"; continue; }
    checked+="|$key|"
  fi
  patch -p1 -s --no-backup-if-mismatch <"$patch" >patch.log 2>&1 || { miss "it does not apply any more"; cat patch.log; exit 1; }
  passes "$patch"
  case $? in
    0) miss "nothing fails" ;;
    1)
      found=$((found + 1))
      printf 'found  %-24s %s\n' "$name" "$(head -n 1 "$patch")"
      sed -n 's/^TEST CASE: */                                by "/p' test.log | sed 's/$/"/' | sort -u
      ;;
    2) miss "it does not compile"; tail -n 5 compile.log ;;
    3) found=$((found + 1)); printf 'found  %-24s %s (its test hangs)\n' "$name" "$(head -n 1 "$patch")" ;;
  esac
  patch -p1 -s -R --no-backup-if-mismatch <"$patch" || exit 70
done
echo "$found mutations found, $missed missed"
[ "$missed" = 0 ]
