#!/usr/bin/env bash
# Builds the program: Scripts/build.sh release|debug. Shows progress on a terminal, a short tail of it when it fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
configuration=${1:-debug}
command -v swift >/dev/null || { echo "error: there is no swift on the PATH; Swift 6.3 is needed (https://swift.org/install)" >&2; exit 1; }
# Nothing newer than the program: a second run starts at once.
binary=.build/$configuration/martlet
if [ -x "$binary" ] && [ -z "$(find Sources Package.swift -newer "$binary" -type f -print -quit)" ]; then exit 0; fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "==> building martlet ($configuration); the first time takes some minutes" >&2
if [ -t 2 ]; then
    MARTLET_NO_TESTS=1 swift build -c "$configuration" --product martlet 2>&1 | tee "$log" >&2 && status=0 || status=$?
else
    MARTLET_NO_TESTS=1 swift build -c "$configuration" --product martlet >"$log" 2>&1 && status=0 || status=$?
fi
if [ "$status" -ne 0 ]; then
    grep -E 'error:' "$log" | sort -u | head -40 >&2 || true
    tail -20 "$log" >&2
    exit "$status"
fi
touch "$binary"
