#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A site's own certificates instead of the run's key: who has one of the CA is in, everybody else is told why.
. "$(dirname "$0")/lib.sh"
command -v openssl >/dev/null || { echo "no openssl here"; exit 77; }
cd "$scratch" || exit 70
unset DL_KEY_FILE

dl-shard -q -n 4 -o shards "$digits" >/dev/null || exit 70
in_background=
coord() { $in_background dl-coord --data shards --model 'dense 32 relu' --batch 128 --json "$@"; }
# says CODE WORDS COMMAND...: it ends so, and its one line has these words
says() {
  local code=$1 words=$2
  shift 2
  exits "$code" "$@" 2>said.err && [ "$(wc -l <said.err)" = 1 ] &&
    grep -q -- "$words" said.err || { cat said.err; return 1; }
}

# The PKI, made by a stranger to dl.
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.pem" -days 30 \
    -subj "/CN=$1" 2>/dev/null
}
issue() {  # NAME CA [DAYS [USAGE]]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/O=site/CN=$1" 2>/dev/null &&
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -out "$1.pem" -days "${3:-30}" \
      -extfile <(echo "extendedKeyUsage=${4:-serverAuth,clientAuth}") 2>/dev/null
}
authority cluster && authority elsewhere && issue node0 cluster && issue node1 cluster && issue node2 cluster &&
  issue stranger elsewhere && issue old cluster -1 && issue server cluster 30 serverAuth || exit 70
papers() { echo "--tls-cert $1.pem --tls-key $1.key --tls-ca ${2:-cluster}.pem"; }

# The bits, whatever carries them.
coord -q -o alone --steps 60 --spawn 1 >alone.json || exit 70
wanted=$(field params_sha256 alone.json)
children() {
  coord -q -o tls --steps 60 --spawn 2 --transport tcp $(papers node0) >tls.json 2>tls.log || { cat tls.log; return 1; }
  same "$(field params_sha256 tls.json)" "$wanted"
}
fact "two children with a certificate: the same bits" children
fact "no key is made where certificates are given" test ! -e tls/key
fact "nothing of the certificate's key is in the run or in what was said" \
  same "$(grep -rlaF "$(sed -n 2p node0.key)" tls tls.json tls.log . | sort -u | tr '\n' ' ')" './node0.key '
by_hand() {
  in_background=exec coord -q -o hand --steps 60 --listen 127.0.0.2:0 --nodes 2 $(papers server) >hand.json & local c=$!
  until_true 10 test -s hand/address || return 1
  DL_KEY_FILE=alone/key dl-node -q --coord "$(cat hand/address)" --transport tcp $(papers node1) & local one=$!
  dl-node -q --coord "$(cat hand/address)" --transport tcp $(papers node2) & local two=$!
  wait $c && wait $one && wait $two && same "$(field params_sha256 hand.json)" "$wanted"
}
fact "a coordinator and two nodes, each with its own, one for servers only: the same bits" by_hand

# Command lines and files.
in_time=(timeout $((20 * ${DL_PATIENCE:-1})))
node() { "${in_time[@]}" dl-node -q --coord 127.0.0.1:1 "$@"; }
begin() { "${in_time[@]}" dl-coord --data shards --model 'dense 32 relu' -o no "$@"; }
fact "one of the three: 64, with what is missing" says 64 '--tls-cert without --tls-key and --tls-ca' node --tls-cert node0.pem
fact "two of the three, at dl-coord" says 64 '--tls-cert and --tls-ca without --tls-key' begin --tls-cert node0.pem --tls-ca cluster.pem
fact "with --insecure: 64" says 64 '--insecure goes without' node --insecure $(papers node0)
fact "with --key: 64" says 64 '--key goes without' node --key alone/key $(papers node0)
fact "with --insecure at dl-coord: 64" says 64 '--insecure goes without' begin --insecure $(papers node0)
cp node0.key open.key && chmod 644 open.key && cp node0.pem open.pem
fact "a key that others may read: 77, with what to do" says 77 'open.key: others may read this key (mode 0644): chmod 600' node $(papers open)
fact "at dl-coord too" says 77 'chmod 600 .*open.key' begin --spawn 1 $(papers open)
fact "no such file: 66" says 66 'nobody.pem' node --tls-cert nobody.pem --tls-key node0.key --tls-ca cluster.pem
fact "another file: 65" says 65 "manifest.json: no certificate in PEM" node --tls-cert shards/manifest.json --tls-key node0.key --tls-ca cluster.pem
fact "another's key: 77" says 77 'node1.key: this is not the key of the certificate in .*node0.pem' \
  node --tls-cert node0.pem --tls-key node1.key --tls-ca cluster.pem
fact "an expired certificate: 77 before anything is said" says 77 "old.pem: certificate .*CN=old.* expired on 20" node $(papers old)
fact "at dl-coord too" says 77 "old.pem: certificate .*CN=old.* expired on 20" begin --nodes 1 $(papers old)
fact "one of another CA: 77" says 77 "node0.pem: certificate .*CN=node0.* is not signed by a CA of ours" node $(papers node0 elsewhere)
fact "a node's for servers only: 77" says 77 "server.pem: .*not for this side of TLS" node $(papers server)
fact "children dial too: 77 at dl-coord" says 77 "server.pem: .*not for this side of TLS" begin --spawn 2 $(papers server)
openssl pkcs8 -topk8 -in node0.key -out shut.key -passout pass:word 2>/dev/null && chmod 600 shut.key && cp node0.pem shut.pem
fact "a key with a passphrase: 65, and nobody is asked" says 65 'shut.key: this key has a passphrase' node $(papers shut)
fact "none of these has begun a run" test ! -e no

# A run that waits for a node, and those who come. A stranger trusts our CA, and shows another's certificate.
in_background=exec coord -o run --steps 1000000 --listen 127.0.0.1:0 --nodes 1 --wait 1h $(papers node0) >run.json 2>run.log & c=$!
until_true 10 test -s run/address || exit 70
address=$(cat run/address)
cat elsewhere.pem cluster.pem >both.pem
fact "a certificate of another CA: 77, with address and file" \
  says 77 "$address and the certificate in .*stranger.pem do not belong together: it does not take our certificate: none of its CAs" \
  "${in_time[@]}" dl-node -q --coord "$address" $(papers stranger both)
fact "the coordinator names who that was" grep -q "CN=stranger.* is not signed by a CA of ours" run.log
fact "a key: 77" says 77 "$address and the key in alone/key do not belong together: it wants a certificate" \
  "${in_time[@]}" dl-node -q --coord "$address" --key alone/key
fact "nothing at all: 77, with what to do" says 77 'start dl-node with --tls-cert' "${in_time[@]}" dl-node -q --coord "$address" --insecure
# Clients that are none of ours; what they are sent is kept.
client() { timeout 10 openssl s_client -connect "$address" -tls1_3 -CAfile cluster.pem "$@" </dev/null >>client.log 2>&1; }
client -cert old.pem -key old.key
client -cert server.pem -key server.key
client

said_all() { grep -o "([0-9]* such so far)" run.log | tail -n 1 | grep -q "(4 such"; }
fact "the coordinator has counted them" said_all
fact "none of them was told anything of the model" sh -c '! grep -qa "dense\|shard" client.log'
dl-node -q --coord "$address" $(papers node1) & node=$!
fact "then a node joins" until_true 5 grep -q '"event": *"joined"' run.json
kill -TERM $node
wait $node
kill -TERM $c
wait $c

refuses_paper() {  # a run with a key, a node with a certificate
  in_background=exec coord -o keyed --steps 60 --listen 127.0.0.1:0 --nodes 1 >keyed.json 2>keyed.log & c=$!
  until_true 10 test -s keyed/address || return 1
  says 77 "it wants the run's key (--key), and no certificate" "${in_time[@]}" dl-node -q --coord "$(cat keyed/address)" $(papers node0) || return 1
  grep -q 'is no node: it shows no key' keyed.log || { cat keyed.log; return 1; }
  kill -TERM $c
  wait $c
  [ $? = 143 ]
}
fact "a certificate at a run with a key: 77, and both say why" refuses_paper

impostor() {  # NAME WORDS: a server with this certificate, which is no dl-coord
  local server
  openssl s_server -accept 127.0.0.1:0 -cert "$1.pem" -key "$1.key" -tls1_3 -www >impostor.log 2>&1 </dev/null & server=$!
  until_true 5 grep -q '^ACCEPT' impostor.log || return 1
  says 77 "$2" "${in_time[@]}" dl-node -q --wait 10s --coord "$(sed -n 's/^ACCEPT //p' impostor.log)" $(papers node1)
  local result=$?
  kill $server
  wait $server 2>/dev/null
  return $result
}
fact "a coordinator whose certificate has expired: 77" impostor old "its certificate .*CN=old.* expired on 20"
fact "a coordinator of another CA: 77" impostor stranger "its certificate .*CN=stranger.* is not signed by a CA of ours"
finish
