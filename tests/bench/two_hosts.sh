# SPDX-License-Identifier: MIT
# To be sourced: two hosts, network namespaces, with a link between them. Needs root, ip and tc.

# two_hosts NAME RATE BURST: NAMEa and NAMEb, 10.78.0.1 and 10.78.0.2; 77 where there are none to be had.
two_hosts() {
  local host number=0
  ip netns add "$1a" && ip netns add "$1b" || exit 77
  ip -n "$1a" link add eth0 type veth peer name eth0 netns "$1b" || exit 77
  for host in "$1a" "$1b"; do
    number=$((number + 1))
    ip -n "$host" link set lo up
    ip -n "$host" addr add 10.78.0.$number/24 dev eth0
    ip -n "$host" link set eth0 up
    tc -n "$host" qdisc add dev eth0 root tbf rate "$2" burst "$3" latency 50ms || exit 77
  done
}
no_hosts() {  # NAME
  local host
  for host in "$1a" "$1b"; do ip netns del "$host" 2>/dev/null; done
}
