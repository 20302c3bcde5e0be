#!/usr/bin/env bash
# The Java client for the tests: fetches a wheel from PyPI that carries kafka-clients 4.2 (Apache License) into .build/java, and prints the
# classpath with what Debian has beside it (slf4j, codecs). Nothing of it belongs to this tree.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
jar=$root/.build/java/kafka-clients.jar
if [ ! -s "$jar" ]; then
    wheels=$(mktemp -d)
    trap 'rm -r "$wheels"' EXIT
    echo "==> kafka-clients, out of a wheel" >&2
    "$root/.venv/bin/python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.13 -d "$wheels" \
        "${KAFKA_CLIENTS_WHEEL:-atoti-server-kafka==6.2.2}" >&2
    mkdir -p "${jar%/*}"
    "$root/.venv/bin/python" - "$wheels" >"$jar.new" <<'PY'
import pathlib, sys, zipfile

wheel = zipfile.ZipFile(next(pathlib.Path(sys.argv[1]).glob("*.whl")))
sys.stdout.buffer.write(wheel.read(next(name for name in wheel.namelist() if name.endswith("/plugin.jar"))))
PY
    mv "$jar.new" "$jar"
fi
path=$jar
for library in slf4j-api slf4j-nop zstd-jni snappy-java; do
    [ ! -e "/usr/share/java/$library.jar" ] || path=$path:/usr/share/java/$library.jar
done
echo "$path"
