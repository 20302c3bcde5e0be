#!/usr/bin/env bash
# Executes notebooks from empty, each against its own Martlet on free ports. Outputs are not kept; KEEP=dir keeps executed copies.
#
#   Scripts/run_notebooks.sh                       all of notebooks/
#   Scripts/run_notebooks.sh notebooks/x.ipynb     one
#
# MARTLET_BIN: the program (default .build/release/martlet). MARTLET_SERVER and MARTLET_KAFKA: use a running server instead.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
python=${PYTHON:-$root/.venv/bin/python}
binary=${MARTLET_BIN:-$root/.build/release/martlet}
export MARTLET_BIN=$binary PYTHONPATH=$root/python/src${PYTHONPATH:+:$PYTHONPATH}
work=$(mktemp -d)
server=

die() { printf 'error: %s\n' "$*" >&2; exit 1; }
stop() {
    if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
        kill "$server"
        wait "$server" 2>/dev/null || true
    fi
    server=
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

[ -x "$python" ] || die "no $python: run Scripts/bootstrap.sh full"
[ $# -gt 0 ] || set -- notebooks/*.ipynb

start() {
    [ -x "$binary" ] || die "no $binary: build it (swift build -c release), or set MARTLET_BIN or MARTLET_SERVER"
    local offset
    offset=$("$python" Scripts/free_offset.py)
    "$binary" dev --ephemeral --port-offset "$offset" >"$work/server.log" 2>&1 &
    server=$!
    export MARTLET_SERVER=http://127.0.0.1:$((8088 + offset)) MARTLET_KAFKA=127.0.0.1:$((9092 + offset))
    for _ in $(seq 300); do
        curl -fs -o /dev/null "$MARTLET_SERVER/info" && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    tail -20 "$work/server.log" >&2
    die "martlet dev did not come up at $MARTLET_SERVER"
}

given=${MARTLET_SERVER:-}
for notebook in "$@"; do
    name=$(basename "$notebook" .ipynb)
    [ -n "$given" ] || start
    printf '==> %s\n' "$notebook"
    began=$(date +%s)
    if ! env -u MPLBACKEND "$python" -m nbconvert --to notebook --execute --ExecutePreprocessor.timeout=300 --log-level=WARN \
        --output-dir "${KEEP:-$work}" --output "$name.ipynb" "$notebook"; then
        [ -n "$given" ] || { echo "--- last lines of the server:"; tail -20 "$work/server.log"; } >&2
        die "$notebook failed"
    fi
    "$python" - "${KEEP:-$work}/$name.ipynb" <<'PY'
import sys

import nbformat

for cell in nbformat.read(sys.argv[1], 4).cells:
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            print("    " + output.text.rstrip().replace("\n", "\n    "))
PY
    printf '    passed in %s s\n' $(($(date +%s) - began))
    [ -n "$given" ] || stop
done
