#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The pages say what the tools do.
# usage: pages.sh lint SOURCE_ROOT              man pages are clean under mandoc (77 where it is missing)
#        pages.sh references SOURCE_ROOT        what pages and README point at is there
#        pages.sh options SOURCE_ROOT TOOL...   --help, man page and completion have the same options
set -u
what=$1 root=$2
shift 2
tools=()
for tool in "$@"; do tools+=("$(realpath "$tool")"); done
cd "$root" || exit 70
bad=0
complain() { echo "$*"; bad=1; }
# Lines of $1 that are not in $2 (both sorted).
only_in() { comm -23 <(printf '%s\n' "$1") <(printf '%s\n' "$2") | tr '\n' ' '; }
# same NAME_A LIST_A NAME_B LIST_B
same() {
  [ "$2" = "$4" ] && return
  [ -z "$(only_in "$2" "$4")" ] || complain "in $1, not in $3: $(only_in "$2" "$4")"
  [ -z "$(only_in "$4" "$2")" ] || complain "in $3, not in $1: $(only_in "$4" "$2")"
}

lint() {
  command -v mandoc >/dev/null || { echo "no mandoc here"; exit 77; }
  local page said
  for page in man/*.[1-9]; do
    said=$(mandoc -Tlint -W warning "$page" 2>&1) || complain "$said"
  done
}

references() {
  local page reference file fact expected
  expected="dl-checkpoint.5 dl-coord.1 dl-eval.1 dl-ledger.5 dl-manifest.5 dl-model.5 dl-node.1 dl-protocol.7 dl-shard.1 dl-shard.5 dl-updates.5 dl.7"
  [ "$(cd man && echo *.[1-9])" = "$expected" ] || complain "man/ has $(cd man && echo *.[1-9]), not $expected"
  for page in man/*.[1-9]; do
    grep -q "'$(basename "$page")'" man/meson.build || complain "$page is not installed by man/meson.build"
    while read -r reference; do
      [ -f "man/$reference" ] || complain "$page points at $reference, which is not there"
    done < <(sed -n 's/.*Xr \(dl[a-z-]*\) \([1-9]\).*/\1.\2/p' "$page")
  done
  # Paths in the README and in share/doc: links, and words in backquotes that begin with a folder of ours.
  for page in README.md share/doc/*.md; do
    while read -r file; do
      [ -e "$(dirname "$page")/$file" ] || complain "$page links to $file, which is not there"
    done < <(grep -oE '\]\([^)#:]+' "$page" | sed 's/^](//')
    while read -r file; do
      [ -e "$file" ] || complain "$page speaks of $file, which is not there"
    done < <(grep -oE '(share|tests|man|libcore|tools)/[A-Za-z0-9_./-]*[A-Za-z0-9_]' "$page" | grep '\.[a-z0-9]*$' | sort -u)
  done
  file=$(grep -lE '@[A-Z]+@|TODO|FIXME' README.md share/doc/*.md man/*.[1-9])
  [ -z "$file" ] || complain "places that were to be filled in are left in" $file
  local protocol
  protocol=$(sed -n 's/.*kProtocol = \([0-9]*\);.*/\1/p' libcore/coord/messages.h)
  grep -q "version $protocol of the messages" man/dl-protocol.7 || complain "man/dl-protocol.7 is not of version $protocol of the messages"
  # Tests that the design names.
  while read -r fact; do
    grep -rqF "TEST_CASE(\"$fact\"" tests || complain "share/doc/design.md names a test that is not there: $fact"
  done < <(grep -oE '\* `[a-z ]+: [^`]+`$' share/doc/design.md | sed 's/^[^`]*`//; s/`$//')
}

# The long options that bash offers after "--", asked the way readline asks.
completed() {
  bash -c '
    source "$1" || exit
    function=$(complete -p "$2" | sed "s/.*-F \([^ ]*\).*/\1/")
    COMP_WORDS=("$2" --) COMP_CWORD=1 COMP_LINE="$2 --" COMP_POINT=$((${#2} + 3))
    "$function" "$2" -- "$2"
    printf "%s\n" "${COMPREPLY[@]}"' completed "$1" "$2" | sed 's/[ =]*$//' | sort -u
}

# "--option STANDARD" for each option of a --help that has a standard value; of a phrase ("0.1; adam
# 0.001"), a line for each number in it.
standards() {
  awk '
    function tell(standard, words, n, i) {
      if (!match(entry, /\[[^\]]*\]$/)) return
      standard = substr(entry, RSTART + 1, RLENGTH - 2)
      if (standard !~ / /) { print name, standard; return }
      n = split(standard, words, /[ ;,]+/)
      for (i = 1; i <= n; ++i) if (words[i] ~ /^[0-9.]+$/) print name, words[i]
    }
    /^  (-.,|   ) --/ { tell(); name = $1 ~ /,$/ ? $2 : $1; entry = $0; next }
    /^          / { entry = entry $0; next }
    { tell(); entry = "" }
    END { tell() }'
}

options() {
  [ $# = 4 ] || complain "$# tools to look at, not 4"
  local tool name page help helped item synopsis standard
  for tool in "$@"; do
    name=$(basename "$tool")
    page=man/$name.1
    help=$("$tool" --help) || complain "$name --help fails"
    helped=$(sed -nE 's/^  (-.,|   ) (--[a-z0-9-]+).*/\2/p' <<<"$help" | sort)
    [ "$(wc -l <<<"$helped")" -ge 5 ] || complain "$name --help shows no options: this test looks at the wrong thing"
    # Options are described in items; the synopsis has no others.
    item=$(grep -E '^\.It .*Fl -' "$page" | grep -oE 'Fl -[a-z0-9-]+' | sed 's/Fl -/--/' | sort -u)
    synopsis=$(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' "$page" | grep -oE 'Fl -[a-z0-9-]+' | sed 's/Fl -/--/' | sort -u)
    same "$name --help" "$helped" "the items of $page" "$item"
    [ -z "$(only_in "$synopsis" "$helped")" ] || complain "in the synopsis of $page, not in --help: $(only_in "$synopsis" "$helped")"
    same "$name --help" "$helped" "share/completions/$name" "$(completed "share/completions/$name" "$name")"
    # An option's standard value stands in its item; of a phrase, its numbers.
    while read -r option standard; do
      awk -v option="Fl -${option#--}" '
        /^\.It / { inside = (index($0 " ", option " ") > 0) }
        /^\.(El|Sh|Ss)/ { inside = 0 }
        inside' "$page" | grep -qF -- "$standard" || complain "$page does not say that $option is $standard where it is not given"
    done < <(standards <<<"$help")
  done
}

case $what in
  lint | references) "$what" ;;
  options) options "${tools[@]}" ;;
  *) echo "pages.sh: no such part: $what" >&2; exit 64 ;;
esac
[ $bad = 0 ] && echo "the pages agree"
exit $bad
