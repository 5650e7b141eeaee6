# SPDX-License-Identifier: MIT
# Sourced by the scenarios: real processes, a scratch directory, facts that must hold.
# Every scenario is called with the build directory and the source directory.
set -u
build=$1 source=$2
for tool in dl-shard dl-coord dl-node dl-eval; do PATH=$build/tools/$tool:$PATH; done
export PATH
scratch=$(mktemp -d "${TMPDIR:-/tmp}/dl-scenario-XXXXXX")
failures=0

cleanup() {
  # A child that a signal ends before it is the program runs this trap of its parent's too.
  [ "$BASHPID" = $$ ] || return
  local jobs_left
  jobs_left=$(jobs -p)
  [ -z "$jobs_left" ] || kill -9 $jobs_left 2>/dev/null
  rm -rf "$scratch"
}
trap cleanup EXIT

# fact NAME COMMAND...: the command must succeed
fact() {
  local name=$1
  shift
  if "$@"; then
    echo "ok: $name"
  else
    echo "FAILED: $name"
    failures=$((failures + 1))
  fi
}

# exits CODE COMMAND...: the command must end with this exit code (77 is also meson's SKIP: never bare)
exits() {
  local wanted=$1 got=0
  shift
  "$@" || got=$?
  [ "$got" = "$wanted" ] || { echo "  exit $got instead of $wanted: $*"; return 1; }
}

same() { [ -n "$1" ] && [ "$1" = "$2" ] || { echo "  '$1' is not '$2'"; return 1; }; }

# Before a command: it may do what the modes of files say, which root need not ask for. `no_modes`: that cannot be had here.
by_modes= no_modes=
if [ "$(id -u)" = 0 ]; then
  by_modes='setpriv --bounding-set=-dac_override,-dac_read_search'
  $by_modes true 2>/dev/null || no_modes=1
fi

# until_true SECONDS COMMAND...: waits for a condition on other processes; DL_PATIENCE times as long
# where everything is slower (under a sanitizer)
until_true() {
  local deadline=$(($(date +%s) + $1 * ${DL_PATIENCE:-1}))
  shift
  until "$@" 2>/dev/null; do
    [ "$(date +%s)" -le "$deadline" ] || { echo "  waited in vain for: $*"; return 1; }
    sleep 0.02
  done
}

# field NAME FILE: a member of the 'done' line of dl-coord --json
field() { grep '^{"event": *"done"' "$2" | tail -n 1 | sed -n "s/.*\"$1\": *\"\{0,1\}\([^,\"}]*\).*/\1/p"; }

digits=$source/share/datasets/digits.csv.gz

finish() {
  [ $failures = 0 ] || { echo "$failures facts do not hold"; exit 1; }
  exit 0
}
