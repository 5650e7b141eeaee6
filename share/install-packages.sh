#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what building dl needs and this machine lacks (Debian 12 and its kin).
# usage: install-packages.sh [PACKAGE...]     and these too
set -u
packages="g++ meson ninja-build pkg-config libboost-dev libboost-program-options-dev
  libboost-serialization-dev libboost-iostreams-dev libopenblas-dev libssl-dev libfmt-dev
  nlohmann-json3-dev $*"

missing=""
for package in $packages; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "install-packages.sh: please install what corresponds to:$missing" >&2
  exit 69
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "install-packages.sh: run as root: apt-get install$missing" >&2; exit 77; }
  as_root=sudo
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
install="$as_root apt-get install -y --no-install-recommends $missing"
$install >/dev/null 2>&1 || { $as_root apt-get update >/dev/null && $install >/dev/null; } || {
  echo "install-packages.sh: apt-get could not install:$missing" >&2
  exit 69
}
