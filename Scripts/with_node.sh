#!/usr/bin/env bash
# Runs a command against a node of its own on free ports: Scripts/with_node.sh COMMAND …
# The command finds it at MARTLET_BOOTSTRAP (Kafka), MARTLET_SERVER (SQL) and MARTLET_REGISTRY (schemas).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
binary=${MARTLET_BIN:-.build/release/martlet}
[ -x "$binary" ] || { echo "error: no $binary: make release" >&2; exit 1; }
offset=$(.venv/bin/python Scripts/free_offset.py)
log=$(mktemp)
"$binary" dev --ephemeral --port-offset "$offset" >"$log" 2>&1 &
node=$!
trap 'kill "$node" 2>/dev/null; wait "$node" 2>/dev/null || true; rm -f "$log"' EXIT
export MARTLET_COMMAND="$binary dev --data {data} --port-offset {offset}"
export MARTLET_BOOTSTRAP=127.0.0.1:$((9092 + offset)) MARTLET_SERVER=http://127.0.0.1:$((8088 + offset)) MARTLET_REGISTRY=http://127.0.0.1:$((8081 + offset))
# Ready when it answers; gone if it ended first.
until curl -sf -o /dev/null "$MARTLET_SERVER/info"; do
    kill -0 "$node" 2>/dev/null || { cat "$log" >&2; exit 1; }
    read -rt 0.05 <> <(:) || true
done
"$@"
