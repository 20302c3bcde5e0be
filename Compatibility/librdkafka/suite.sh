#!/usr/bin/env bash
# librdkafka's own tests against a broker: Compatibility/librdkafka/suite.sh [quick|full] [plaintext|ssl|sasl_ssl|sasl_plaintext] [NUMBER …],
# e.g. suite.sh quick 0103 0129, suite.sh quick sasl_ssl
#
# With a protocol other than plaintext the tests log in as a user who is nobody's superior (SASL_MECHANISM, SCRAM-SHA-512) or show a certificate that
# openssl makes here; Kafka's commands, which some tests call, come in by a second, open listener.
# Its source comes from Debian (LIBRDKAFKA_VERSION, of any suite) and is built in LIBRDKAFKA_DIR; nothing of it belongs to this tree. With
# rapidjson-dev it has three tests more.
# Tests that need no broker are left out. Every test runs alone, with a time limit. What passes, and what cannot: LEDGER.md.
#
# The broker is MARTLET_BOOTSTRAP, or a node of its own with what the tests expect of theirs: topics made on use have four partitions, the first
# rebalance of a group waits for three seconds, access rules are in force; LIBRDKAFKA_NODE are more
# arguments for it, e.g. "--set auto.create.topics.enable=false" for 0107 and 0111. MARTLET_BIN is the program. LIBRDKAFKA_CONF are more lines for
# the tests' configuration.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
version=${LIBRDKAFKA_VERSION:-2.14.2-1}
directory=${LIBRDKAFKA_DIR:-${TMPDIR:-/tmp}/martlet-librdkafka}
mode=quick protocol=plaintext
case ${1:-} in quick | full) mode=$1; shift ;; esac
case ${1:-} in plaintext | ssl | sasl_ssl | sasl_plaintext) protocol=$1; shift ;; esac

fetch() {
    mkdir -p "$directory"/apt/{lists/partial,cache/archives/partial,parts} && cd "$directory" || return
    cat >apt/parts/source.sources <<END
Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-backports trixie sid
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    # Lists of its own: what the machine installs from stays as it is.
    local options=(-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$directory/apt/parts" -o Dir::State::Lists="$directory/apt/lists"
        -o Dir::Cache="$directory/apt/cache" -o Acquire::Languages=none)
    apt-get "${options[@]}" -qq update && apt-get "${options[@]}" -qq source --download-only "librdkafka=$version" \
        && mkdir -p source && tar xf librdkafka_*.orig.tar.* -C source --strip-components=1 \
        && one_broker
}

# Topics with three replicas need three brokers: a single one, Kafka's too, refuses them.
one_broker() {
    sed -i -E 's/(test_create_topic_wait_exists\([^;]*, )3(, 5000\);)/\11\2/' source/tests/0*.c
    sed -i -E 's/(Test::create_topic\(NULL, topic.c_str\(\), 1, )3\);/\11);/' source/tests/0111-*.cpp
    sed -i -E 's/(Test::create_topic_wait_exists\(c, topic_name.c_str\(\), [12], )3(, 5000\);)/\11\2/' source/tests/0098-*.cpp
}

build() {
    cd "$directory/source" && ./configure --disable-gssapi >configure.log 2>&1 && make -j2 libs >libs.log 2>&1 \
        && make -j2 -C tests test-runner >tests.log 2>&1
}

runner=$directory/source/tests/test-runner
if [ ! -x "$runner" ]; then
    echo "==> fetching and building librdkafka $version in $directory" >&2
    (fetch && build) || { echo "error: see $directory/source/*.log" >&2; exit 1; }
fi
cd "$directory/source/tests" || exit 1
work=$(mktemp -d)
configuration=$work/test.conf log=$work/node.log
node='' relay=''
trap 'for one in $node $relay; do kill "$one"; wait "$one"; done 2>/dev/null; rm -rf "$work"' EXIT
: >"$log"

# An authority, the node's certificate, and the client's in the forms that 0097 wants (SSL_…), its key under a password.
certificates() {
    cd "$work" || return
    export SSL_password=only-for-tests
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=authority" -keyout ca.key -out ca.pem \
        && openssl req -newkey rsa:2048 -nodes -subj "/CN=node" -keyout node.key -out node.csr \
        && printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >node.ext \
        && openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile node.ext -out node.pem \
        && openssl req -newkey rsa:2048 -passout env:SSL_password -subj "/CN=tester" -keyout client.key -out client.csr \
        && openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out client.pem \
        && openssl x509 -in client.pem -outform DER -out client.der && openssl x509 -in ca.pem -outform DER -out ca.der \
        && openssl pkcs12 -export -in client.pem -inkey client.key -passin env:SSL_password -certfile ca.pem -passout env:SSL_password -out client.p12
} >"$work/openssl.log" 2>&1

# The lines of the tests' configuration for the protocol.
security() {
    printf 'security.protocol=%s\n' "$protocol"
    case $protocol in sasl_*)
        printf 'sasl.mechanisms=%s\nsasl.username=tester\nsasl.password=%s\n' "${SASL_MECHANISM:-SCRAM-SHA-512}" only-for-tests ;;
    esac
    case $protocol in *ssl)
        printf 'ssl.ca.location=%s\nssl.key.location=%s\nssl.key.password=%s\nssl.certificate.location=%s\n' \
            "$work/ca.pem" "$work/client.key" "$SSL_password" "$work/client.pem" ;;
    esac
}

secured=()
if [ "$protocol" != plaintext ]; then
    [ -z "${MARTLET_BOOTSTRAP:-}" ] || { echo "error: with a protocol the node is one of its own" >&2; exit 2; }
    (certificates) || { cat "$work/openssl.log" >&2; exit 1; }
    export SSL_password=only-for-tests SSL_pkcs=$work/client.p12 SSL_pub_pem=$work/client.pem SSL_pub_der=$work/client.der SSL_priv_pem=$work/client.key
    export SSL_ca_der=$work/ca.der SSL_ca_pem=$work/ca.pem SSL_all_cas_pem=$work/ca.pem SSL_client_auth=${SSL_client_auth:-requested}
    program=${MARTLET_BIN:-$root/.build/release/martlet}
    MARTLET_PASSWORD=only-for-tests "$program" user add tester --data "$work/data" >/dev/null || exit 1
fi
if [ -z "${MARTLET_BOOTSTRAP:-}" ]; then
    offset=${LIBRDKAFKA_PORT_OFFSET:-21000}
    if [ "$protocol" = plaintext ]; then
        secured=(--ephemeral)
    else
        secured=(--data "$work/data" --set "listeners=${protocol^^}://127.0.0.1:$((9092 + offset)),PLAINTEXT://127.0.0.1:$((9093 + offset))"
            --set "ssl.certificate.location=$work/node.pem" --set "ssl.key.location=$work/node.key" --set "ssl.ca.location=$work/ca.pem"
            --set "ssl.client.auth=$SSL_client_auth" --insecure)
        BROKERS=127.0.0.1:$((9093 + offset))
    fi
    "${MARTLET_BIN:-$root/.build/release/martlet}" dev "${secured[@]}" --port-offset "$offset" --set num.partitions=4 --set group.initial.rebalance.delay.ms=3000 \
        --set authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer --set super.users=User:admin \
        --set allow.everyone.if.no.acl.found=true ${LIBRDKAFKA_NODE:-} >"$log" 2>&1 &
    node=$!
    until grep -q "is ready" "$log"; do
        kill -0 "$node" 2>/dev/null || { cat "$log" >&2; node=; exit 1; }
        read -rt 0.05 <> <(:) || true
    done
    MARTLET_BOOTSTRAP=127.0.0.1:$((9092 + offset))
fi
# A few tests call Kafka's own commands.
mkdir -p "$directory/kafka/bin"
for command in kafka-topics.sh kafka-acls.sh; do
    printf '#!/bin/sh\nexec "%s/.venv/bin/python" "%s/kafka_command.py" %s "$@"\n' "$root" "$here" "$command" >"$directory/kafka/bin/$command"
done
# 0098 has a Java producer write what it reads.
if command -v javac >/dev/null && jars=$("$here/../kafka-clients/java/fetch.sh"); then
    [ -e java/TransactionProducerCli.class ] || javac -nowarn -cp "$jars" java/*.java || exit 1
    printf '#!/bin/sh\nexec java -cp "$CLASSPATH:%s" "$@"\n' "$jars" >"$directory/kafka/bin/kafka-run-class.sh"
fi
chmod +x "$directory"/kafka/bin/*
export KAFKA_PATH=$directory/kafka BROKERS=${BROKERS:-$MARTLET_BOOTSTRAP}
{
    printf 'bootstrap.servers=%s\ntest.topic.random=true\n' "$MARTLET_BOOTSTRAP"
    [ "$protocol" = plaintext ] || security
    printf '%b\n' "${LIBRDKAFKA_CONF:-}"
} >"$configuration"
# 0097 wants a failed handshake told as one of TLS. librdkafka tells it as one of the transport if the answer is there before it looks for it.
late=$configuration
case $protocol in *ssl)
    "$root/.venv/bin/python" "$here/relay.py" "${MARTLET_BOOTSTRAP##*:}" >"$work/relay" &
    relay=$!
    until [ -s "$work/relay" ]; do read -rt 0.05 <> <(:) || true; done
    late=$work/late.conf
    sed "s/^bootstrap.servers=.*/bootstrap.servers=127.0.0.1:$(cat "$work/relay")/" "$configuration" >"$late" ;;
esac
export LD_LIBRARY_PATH="$directory/source/src:$directory/source/src-cpp" RDKAFKA_TEST_CONF
export TEST_KAFKA_VERSION=${TEST_KAFKA_VERSION:-4.0.0}
logs=$directory/logs/$mode-$protocol${TEST_CONSUMER_GROUP_PROTOCOL:+-$TEST_CONSUMER_GROUP_PROTOCOL}
mkdir -p "$logs"
if [ $# -gt 0 ]; then
    numbers=("$@")
else
    mapfile -t numbers < <(sed -n '/^struct test tests/,/^};/p' test.c | tr '\n' ' ' | grep -oE '_TEST\([0-9]{4}_[a-z_0-9]+, *[^,)]*' \
        | grep -vE 'TEST_F_LOCAL|TEST_F_MANUAL' | grep -oE '[0-9]{4}' | sort -u)
fi
failed=0
for number in "${numbers[@]}"; do
    began=$SECONDS
    arguments=(-L -p1)
    [ "$mode" = quick ] && arguments+=(-Q -E)
    RDKAFKA_TEST_CONF=$configuration
    [ "$number" = 0097 ] && RDKAFKA_TEST_CONF=$late
    TESTS=$number timeout -k 5 "${LIBRDKAFKA_SECONDS:-400}" ./test-runner "${arguments[@]}" >"$logs/$number.log" 2>&1
    status=$?
    verdict=pass
    if [ $status -eq 124 ] || [ $status -eq 137 ]; then verdict="out of time"
    elif [ $status -ne 0 ]; then verdict="fail ($status)"
    elif ! grep -qaE '\| *PASSED \|' <(grep -av '<MAIN>' "$logs/$number.log"); then verdict=skipped; fi
    case $verdict in pass | skipped) ;; *) failed=$((failed + 1)) ;; esac
    printf '%s\t%s\t%s s\n' "$number" "$verdict" $((SECONDS - began))
done
echo "$failed of ${#numbers[@]} failed; their logs are in $logs" >&2
[ "$failed" -eq 0 ]
