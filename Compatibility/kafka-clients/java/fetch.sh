#!/usr/bin/env bash
# The Java client for the tests: fetches a wheel from PyPI that carries kafka-clients 4.2 (Apache License) into .build/java, and prints the
# classpath with what Debian has beside it (slf4j, codecs). Nothing of it belongs to this tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
wheel=${KAFKA_CLIENTS_WHEEL:-atoti-server-kafka==6.2.2}
jar=.build/java/kafka-clients.jar
if [ ! -s "$jar" ]; then
    mkdir -p .build/java
    .venv/bin/python -m pip download -q --no-deps --only-binary=:all: --python-version 3.13 -d .build/java "$wheel" >&2
    unzip -p .build/java/*.whl '*/plugin.jar' >"$jar"
fi
path=$PWD/$jar
for library in slf4j-api slf4j-nop zstd-jni snappy-java; do
    [ ! -e "/usr/share/java/$library.jar" ] || path=$path:/usr/share/java/$library.jar
done
echo "$path"
